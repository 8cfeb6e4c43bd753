"""The command of a pipeline's stage: saving experiments is DVC's then."""

import pathlib

from kit import Live

pathlib.Path("out.bin").write_text("made", encoding="utf-8")
with Live() as live:
    live.log_param("lr", 0.5)
    for value in (1.0, 0.5):
        live.log_metric("loss", value)
        live.next_step()
    live.log_artifact("out.bin", type="model", name="out")
