"""A dvc.yaml that the user wrote: stages, entries of every section, comments, and stale entries of an earlier run."""

import numpy as np
from kit import Live, check_exists

USERS = """\
# the pipeline
vars:
- settings.yaml  # of all stages
stages:
  prepare:   # first
    cmd: "python prepare.py"
    deps: [raw.csv, 'prepare.py']
    outs:
    - data:
        cache: false
# parameters of mine
params:
- mine.yaml
- dvclive/params.yaml
metrics:
- mine.json
- dvclive/stale.json
plots:
- mine.csv:
    x: epoch
    y: loss   # of mine
- other.json
- dvclive/plots/custom/stale.json:
    x: a
artifacts:
  mine:
    path: models/mine.pt
    type: model
  stale:
    path: dvclive/artifacts/stale.pt
"""

with open("dvc.yaml", "w", encoding="utf-8") as file:
    file.write(USERS)
for _ in range(2):
    with Live(save_dvc_exp=False) as live:
        live.log_param("a", 1)
        live.log_metric("m", 1)
        live.log_image("i.png", np.zeros((2, 2), np.uint8))
        live.log_sklearn_plot("confusion_matrix", [0, 1, 1], [0, 1, 0], normalized=True, title="Mine")
        live.log_plot("c", [{"x": 1, "y": 2}], "x", "y", template="scatter", title="T", x_label="X", y_label="Y")
        live.next_step()
    check_exists("dvc.yaml")
