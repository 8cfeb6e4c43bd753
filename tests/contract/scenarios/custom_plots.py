"""Custom plots from every kind of data points."""

import numpy as np
import pandas as pd
from kit import Live, check_json, must_raise

FRAME = pd.DataFrame({"i": [1, 2, 3], "f": [0.5, float("nan"), 1.5], "s": ["a", None, "ü"], "b": [True, False, True]})
STRUCTURED = np.array([(1, 2.5, "x"), (3, 4.5, "y")], dtype=[("n", "i4"), ("v", "f8"), ("t", "U3")])

with Live(save_dvc_exp=False) as live:
    live.log_plot("records", [{"x": 1, "y": 2.5}, {"x": 2, "y": float("inf"), "more": [1, {"a": None}]}], "x", "y")
    live.log_plot("frame", FRAME, x="i", y="f")
    live.log_plot("ints", pd.DataFrame({"a": np.arange(3), "b": np.arange(3) ** 2}), "a", "b", template=None)
    live.log_plot("index", pd.DataFrame({"a": [1.0, 2.0]}, index=["p", "q"]), "a", "a", "")
    live.log_plot("several", FRAME[["i", "f", "b"]], "i", ["f", "b"], template="linear", title="Several")
    live.log_plot("sub/dir/deep", [{"x": 1, "y": 1}], "x", "y", "scatter", "Title", "X", "Y")
    live.log_plot("suffix.json", [{"x": 1, "y": 1}], "x", "y")
    live.log_plot("empty", [], "x", "y")
    live.log_plot("again", [{"x": 1, "y": 1}], "x", "y", title="first")
    live.log_plot("again", [{"x": 2, "y": 2}], "x", "y", title="second")
    check_json("dvclive/plots/custom/again.json", [{"x": 2, "y": 2}])
    live.next_step()
    live.log_plot("again", [{"x": 3, "y": 3}], "x", "y")
    live.log_plot("objects", np.array([("a", 1), ("b", 2)], dtype=[("k", "O"), ("v", "O")]), "k", "v")
    live.log_plot("plain", np.array([["1", None], [2.5, "q"]], dtype=object), 0, 1)
    must_raise("InvalidDataTypeError", live.log_plot, "bad", [1, 2], "x", "y")
    must_raise("InvalidDataTypeError", live.log_plot, "bad", {"x": 1}, "x", "y")
    must_raise("InvalidDataTypeError", live.log_plot, "bad", "text", "x", "y")
