"""Images that DVC tracks as one directory."""

import numpy as np
from kit import Live

with Live(save_dvc_exp=False, cache_images=True) as live:
    for _ in range(2):
        live.log_image(f"steps/{live.step}.png", np.full((4, 4), live.step, np.uint8))
        live.next_step()
with Live("none", save_dvc_exp=False, cache_images=True) as live:
    live.log_metric("a", 1)
