"""Parameters of every YAML type, one by one and many at once, replaced and nested."""

from collections import OrderedDict

from kit import Live, check_exists, must_raise

with Live(save_dvc_exp=False) as live:
    live.log_param("integer", 3)
    check_exists("dvclive/params.yaml")
    live.log_param("big", 2**80)
    live.log_param("negative", -7)
    live.log_param("float", 1e-05)
    live.log_param("whole", 3.0)
    live.log_param("nan", float("nan"))
    live.log_param("inf", float("inf"))
    live.log_param("minus", float("-inf"))
    live.log_param("text", "plain")
    live.log_param("empty", "")
    live.log_param("like_int", "12")
    live.log_param("like_bool", "yes")
    live.log_param("like_null", "null")
    live.log_param("like_date", "2024-01-02")
    live.log_param("colon", "a: b # c")
    live.log_param("lines", "first\nsecond\n")
    live.log_param("unicode", "größe 漢字 🎈")
    live.log_param("long", "word " * 60)
    live.log_param("true", True)
    live.log_param("false", False)
    live.log_param("null", None)
    live.log_param("list", [1, 2.5, "three", None, [True, []]])
    live.log_param("map", {"b": 1, "a": {"deep": [{"x": 1}, {"y": 2}]}, "none": {}})
    live.log_param("ordered", OrderedDict([("z", 1), ("y", 2)]))
    live.log_params({"replaced": 1, "more": "x", 5: "integer key"})
    live.log_params({"replaced": 2})
    live.log_params({})

# What DVCLive refuses it has half written; here a good file follows, so that there is something to compare.
with Live("refused", save_dvc_exp=False, dvcyaml=None) as live:
    must_raise("InvalidParameterTypeError", live.log_param, "o", object())

with Live("refused", save_dvc_exp=False, dvcyaml=None) as live:
    live.log_param("o", 1)
