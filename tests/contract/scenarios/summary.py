"""Summary-only metrics, time stamps, and a summary that the user changes, nested too."""

from kit import Live, check_absent, check_json

with Live("summary", save_dvc_exp=False) as live:
    live.log_metric("only", 1.5, plot=False)
    live.log_metric("deep/only", "text", plot=False)
    check_absent("summary/plots/metrics/only.tsv")
    live.log_metric("timed", 1, timestamp=True)
    live.log_metric("deep/timed", 2.5, timestamp=True)
    live.next_step()
    live.log_metric("timed", 2, timestamp=True)
    live.summary["best"] = 0.9
    live.summary["nested"] = {"inner": {"x": 1}}
    live.next_step()
    live.summary["nested"]["inner"]["y"] = [1, 2, {"z": None}]
    live.log_metric("nested/inner/x", 5)
    live.make_summary()
    check_json(
        "summary/metrics.json",
        {
            "only": 1.5,
            "deep": {"only": "text", "timed": 2.5},
            "timed": 2,
            "step": 2,
            "best": 0.9,
            "nested": {"inner": {"x": 5, "y": [1, 2, {"z": None}]}},
        },
    )
    del live.summary["only"]
    live.summary["list"] = [1]
    live.summary.update(late=float("nan"))

with Live("replaced", save_dvc_exp=False) as live:
    live.log_metric("gone", 1)
    live.summary = {"whole": "new"}
    live.log_metric("added", 2)

with Live("nothing", save_dvc_exp=False) as live:
    pass

with Live("only-summary", save_dvc_exp=False, dvcyaml="only-summary/dvc.yaml") as live:
    live.log_metric("a", 1, plot=False)
