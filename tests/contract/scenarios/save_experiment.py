"""An experiment saved by DVC at the end of the run, with a name, a message and a cached artifact."""

import pathlib

from kit import Live

pathlib.Path("model.pt").write_text("weights", encoding="utf-8")
with Live(exp_name="named", exp_message="what was done") as live:
    live.log_param("lr", 0.5)
    for value in (1.0, 0.5):
        live.log_metric("loss", value)
        live.next_step()
    live.log_artifact("model.pt", type="model")
