"""Several runs into one directory: each begins by clearing what the one before wrote, and nothing else."""

import os

import numpy as np
from kit import Live, check_absent

with Live(save_dvc_exp=False, report="html") as live:
    live.log_param("old", 1)
    live.log_metric("old", 1)
    live.log_image("old.png", np.zeros((4, 4), np.uint8))
    live.log_sklearn_plot("roc", [0, 1], [0.2, 0.8], name="old")
    live.log_plot("old-custom", [{"x": 1, "y": 2}], "x", "y")
    live.next_step()

os.makedirs("dvclive/artifacts", exist_ok=True)
for path in ("dvclive/mine.txt", "dvclive/plots/mine.txt", "dvclive/artifacts/model.bin", "dvclive/dvc.yaml"):
    with open(path, "w", encoding="utf-8") as file:
        file.write("{}")

with Live(save_dvc_exp=False) as live:
    live.log_metric("new", 2)
    check_absent("dvclive/plots/metrics/old.tsv", "dvclive/params.yaml", "dvclive/report.html", "dvclive/dvc.yaml")

with Live(save_dvc_exp=False) as live:
    live.log_metric("newest", 3)
    live.next_step()
    live.log_metric("newest", 4)

first = Live("twice", save_dvc_exp=False)
first.log_metric("a", 1)
first.next_step()
first.end()
first.end()
