"""Every scikit-learn plot with its options: name, labels, normalisation, and what is passed on to scikit-learn."""

import numpy as np
from kit import Live, check_exists, check_json, must_raise

GENERATOR = np.random.default_rng(7)
LABELS = GENERATOR.integers(0, 2, 60)
SCORES = np.clip(LABELS * 0.3 + GENERATOR.random(60) * 0.7, 0, 1)
WEIGHTS = GENERATOR.random(60)

with Live(save_dvc_exp=False) as live:
    for kind in ("roc", "precision_recall", "det", "calibration"):
        live.log_sklearn_plot(kind, LABELS, SCORES)
        check_exists(f"dvclive/plots/sklearn/{kind}.json")
        live.log_sklearn_plot(kind, LABELS.tolist(), SCORES.tolist(), name=f"lists/{kind}", title="From lists")
        live.log_sklearn_plot(kind, LABELS, SCORES, f"{kind}-named.json", x_label="X", y_label="Y")
    live.log_sklearn_plot("calibration", LABELS, SCORES.astype(np.float32), name="single")
    live.log_sklearn_plot("roc", LABELS, SCORES, name="all", drop_intermediate=False, sample_weight=WEIGHTS)
    live.log_sklearn_plot("roc", LABELS + 1, SCORES, name="positive", pos_label=2)
    live.log_sklearn_plot("precision_recall", LABELS, SCORES, name="pr", drop_intermediate=True, sample_weight=WEIGHTS)
    live.log_sklearn_plot("det", LABELS, SCORES, name="weighted", pos_label=1, sample_weight=WEIGHTS)
    live.log_sklearn_plot("calibration", LABELS, SCORES, name="bins", n_bins=3, strategy="quantile")
    live.log_sklearn_plot("calibration", LABELS, SCORES, name="uniform", n_bins=7, strategy="uniform", pos_label=1)
    live.log_sklearn_plot("confusion_matrix", LABELS, (SCORES > 0.5).astype(int))
    live.log_sklearn_plot("confusion_matrix", LABELS, SCORES > 0.5, name="normal", normalized=True)
    live.log_sklearn_plot("confusion_matrix", LABELS, LABELS, name="plain", normalized=False)
    live.log_sklearn_plot("confusion_matrix", ["cat", "dog"], ["dog", "dog"], name="words", title="Animals")
    check_json(
        "dvclive/plots/sklearn/words.json",
        [{"actual": "cat", "predicted": "dog"}, {"actual": "dog", "predicted": "dog"}],
    )
    live.log_sklearn_plot("confusion_matrix", [1.5, None, True], [np.float32(0.5), "x", 2], name="odd")
    live.log_sklearn_plot("roc", (0, 1, 1), (0.1, 0.4, 0.9), name="tuples")
    live.log_sklearn_plot("roc", [0, 1], [0.9, 0.1])
    live.next_step()
    live.log_sklearn_plot("roc", [0, 1, 0], [0.1, 0.9, 0.5])
    must_raise("InvalidPlotTypeError", live.log_sklearn_plot, "unknown", [0, 1], [0, 1])
