"""The report in its form 'html': tables, curves, images and plots on one page."""

import numpy as np
from kit import Live, check_exists

with Live(save_dvc_exp=False, report="html") as live:
    live.log_params({"lr": 0.1, "model": {"depth": 3, "name": "net"}, "flag": True})
    for step in range(4):
        live.log_metric("loss", 1 / (step + 1))
        live.log_metric("train/acc", step * 0.25, timestamp=step == -1)
        live.log_image("same.png", np.full((3, 3), step, np.uint8))
        live.log_image(f"steps/{step + 8}.png", np.full((3, 3, 3), step * 20, np.uint8))
        live.next_step()
        check_exists("dvclive/report.html")
    live.log_image("photo.jpg", np.zeros((8, 8, 3), np.uint8))
    live.log_sklearn_plot("roc", [0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    live.log_sklearn_plot("confusion_matrix", [0, 1, 1], [0, 1, 0], name="matrix", normalized=True)
    live.log_plot("line", [{"at": 1, "height": 2}, {"at": 2, "height": 3}], "at", "height", title="A line", x_label="ex")
    live.log_plot("deep/points", [{"x": 1, "y": 2}], "x", "y", template="scatter")
