"""Metrics of every type of value: their rows and the summary, nested names, several metrics per step."""

import numpy as np
from kit import Live, check_json, check_rows, must_raise

TEXTS = ["plain", "tab\there", 'quote"d', "two\nlines", "carriage\rreturn", "", " spaces ", "ünïcödé", "'single'"]
FLOATS = [0.1, 1e300, 1e-300, -0.0, 3.0, 1 / 3, 1e16, 123456789012345680.0, float("nan"), float("inf"), float("-inf")]
INTEGERS = [0, -1, 2**31, 2**63 - 1, -(2**63), 2**64 - 1, 2**64, -(2**70), 10**25]
NUMPY = [
    *(np.dtype(name).type(7) for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")),
    *(np.dtype(name).type(0.1) for name in ("float16", "float32", "float64")),
    np.intc(3),
    np.intp(4),
    np.uint64(2**64 - 1),
    np.float32("nan"),
    np.float64("inf"),
    np.float16("-inf"),
]

with Live(save_dvc_exp=False) as live:
    live.log_metric("first", 1)
    check_rows("dvclive/plots/metrics/first.tsv", [["0", "1"]])
    for number, value in enumerate(TEXTS + FLOATS + INTEGERS + [True, False] + NUMPY):
        live.log_metric("mixed", value)
        live.log_metric(f"each/{number}", value)
        live.log_metric(f"deep/er/and/deeper/{number % 3}", value)
        live.next_step()
    live.log_metric("dotted.name", 1)
    live.log_metric("dotted.name.tsv", 2)
    live.log_metric("with space/and ü", 3)
    live.log_metric("comma,quote\"", 4)
    must_raise("InvalidDataTypeError", live.log_metric, "bad", [1])
    must_raise("InvalidDataTypeError", live.log_metric, "bad", None)
    must_raise("InvalidDataTypeError", live.log_metric, "bad", np.array([1.0]))
    must_raise("InvalidDataTypeError", live.log_metric, "bad", 1j)

with Live("small", save_dvc_exp=False) as live:
    live.log_metric("a", 1)
    live.next_step()
    check_json("small/metrics.json", {"a": 1, "step": 0})
    live.log_metric("a", 2)
    live.log_metric("b/c", 0.5)
    live.next_step()
    check_rows("small/plots/metrics/a.tsv", [["0", "1"], ["1", "2"]])
    check_rows("small/plots/metrics/b/c.tsv", [["1", "0.5"]])
    check_json("small/metrics.json", {"a": 2, "step": 1, "b": {"c": 0.5}})
