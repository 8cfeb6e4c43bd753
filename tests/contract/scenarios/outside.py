"""Without a DVC repository artifacts are only warned of, and no experiment is saved."""

import pathlib

from kit import Live

pathlib.Path("model.pt").write_text("weights", encoding="utf-8")
with Live() as live:
    live.log_metric("a", 1)
    live.log_artifact("model.pt", type="model")
