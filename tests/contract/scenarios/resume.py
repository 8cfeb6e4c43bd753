"""Runs that are resumed, by argument and by environment, and the steps and files they go on with."""

import os

from kit import Live

with Live(save_dvc_exp=False) as live:
    live.log_param("lr", 0.1)
    live.log_param("kept", "yes")
    for value in (1.0, 2.0):
        live.log_metric("loss", value)
        live.log_metric("sub/loss", value)
        live.next_step()
    live.summary["mine"] = {"a": 1}

with Live(save_dvc_exp=False, resume=True) as live:
    assert live.step == 2, live.step
    assert live.read_step() == 1
    assert live.read_latest()["loss"] == 2.0
    assert live.summary["mine"] == {"a": 1}
    live.log_param("lr", 0.2)
    live.log_metric("loss", 3.0)
    live.log_metric("new", 1)
    live.next_step()

os.environ["DVCLIVE_RESUME"] = "true"
with Live(save_dvc_exp=False) as live:
    assert live.step == 3, live.step
    live.log_metric("loss", 4.0)
    live.next_step()
del os.environ["DVCLIVE_RESUME"]

with Live("empty", save_dvc_exp=False, resume=True) as live:
    assert live.step == 0
    live.log_metric("a", 1)
    live.next_step()

with Live("no-steps", save_dvc_exp=False) as live:
    live.log_metric("a", 1)
with Live("no-steps", save_dvc_exp=False, resume=True) as live:
    live.log_metric("a", 2)
    live.next_step()
