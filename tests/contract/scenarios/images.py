"""Images of every mode and source, in every format that DVCLive takes."""

import pathlib

import matplotlib
import numpy as np
from kit import Live, check_exists, may_fail, must_raise
from PIL import Image

matplotlib.use("agg")
from matplotlib import pyplot as plt  # noqa: E402

RAMP = np.arange(24 * 16, dtype=np.uint32).reshape(16, 24)
GRAY = (RAMP % 256).astype(np.uint8)
RGB = np.stack([GRAY, GRAY[::-1], 255 - GRAY], axis=2)
RGBA = np.concatenate([RGB, GRAY[:, ::-1, None]], axis=2)
COLOUR = Image.fromarray(RGB)


def figure():
    made, axes = plt.subplots(figsize=(2, 1))
    axes.plot([0, 1, 2], [0, 1, 4])
    return made


with Live(save_dvc_exp=False) as live:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        picture = Image.fromarray(RAMP.astype(np.uint16)) if mode == "I;16" else COLOUR.convert(mode)
        live.log_image(f"pil/{mode.replace(';', '')}.png", picture)
        check_exists(f"dvclive/plots/images/pil/{mode.replace(';', '')}.png")
    for mode in ("L", "RGB", "CMYK", "1"):
        live.log_image(f"pil/{mode}.jpg", COLOUR.convert(mode))
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        live.log_image(f"pil/{mode}.gif", COLOUR.convert(mode))
    transparent = COLOUR.convert("P")
    transparent.info["transparency"] = 3
    live.log_image("pil/transparent.png", transparent)
    live.log_image("pil/cropped.png", COLOUR.crop((1, 1, 9, 7)))

    live.log_image("numpy/gray.png", GRAY)
    live.log_image("numpy/rgb.png", RGB)
    live.log_image("numpy/rgb.jpeg", RGB)
    live.log_image("numpy/rgba.png", RGBA)
    live.log_image("numpy/bool.png", GRAY > 100)
    live.log_image("numpy/uint16.png", RAMP.astype(np.uint16) * 100)
    live.log_image("numpy/view.png", RGB[::-1, ::2])
    live.log_image("numpy/fortran.png", np.asfortranarray(RGB))

    live.log_image("figure.png", figure())
    live.log_image("figure.jpg", figure())
    assert not plt.get_fignums()

    COLOUR.save("source.png")
    COLOUR.save("source.jpg", quality=60)
    COLOUR.convert("P").save("source.gif")
    live.log_image("path/given.png", "source.png")
    live.log_image("path/completed", "source.png")
    live.log_image("path/completed", "source.jpg")
    live.log_image("path/completed", pathlib.Path("source.gif"))
    live.log_image("path/other.png", "source.jpg")
    check_exists("dvclive/plots/images/path/completed.gif")

    live.log_image("again.png", GRAY)
    live.log_image("again.png", RGB)
    for _ in range(3):
        live.log_image(f"steps/{live.step}.png", GRAY + np.uint8(live.step))
        live.next_step()

    may_fail(live.log_image, "refused/integer.png", COLOUR.convert("I"))
    may_fail(live.log_image, "refused/int32.png", RAMP.astype(np.int32))
    may_fail(live.log_image, "refused/float.png", GRAY.astype(np.float32))
    may_fail(live.log_image, "refused/alpha.jpg", RGBA)
    may_fail(live.log_image, "refused/f.png", COLOUR.convert("F"))
    must_raise("InvalidImageNameError", live.log_image, "no-suffix", GRAY)
    must_raise("InvalidImageNameError", live.log_image, "other.bmp", GRAY)
    must_raise("InvalidDataTypeError", live.log_image, "bad.png", [[1]])
    must_raise("FileNotFoundError", live.log_image, "absent.png", "absent.png")
