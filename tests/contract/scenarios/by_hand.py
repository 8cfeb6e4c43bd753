"""The outputs made by hand: summary, dvc.yaml, report, and all of them, each readable when its call has returned."""

from kit import Live, check_absent, check_exists, check_json, must_raise

live = Live("run", save_dvc_exp=False, dvcyaml="run/dvc.yaml", report="html")
live.log_metric("a", 1)
check_absent("run/metrics.json", "run/dvc.yaml", "run/report.html")
live.make_summary()
check_json("run/metrics.json", {"a": 1})
live.make_dvcyaml()
check_exists("run/dvc.yaml")
live.make_report()
check_exists("run/report.html")
live.log_metric("a", 2)
live.sync()
check_json("run/metrics.json", {"a": 2})
live.next_step()
check_json("run/metrics.json", {"a": 2, "step": 0})
live.log_metric("a", 3)
live.end()
check_json("run/metrics.json", {"a": 3, "step": 0})

never = Live("never-ended", save_dvc_exp=False, dvcyaml=None)
never.log_param("p", 1)
never.log_metric("m", 1)
never.sync()
never.make_report()

must_raise("InvalidReportModeError", Live, "refused", save_dvc_exp=False, report="pdf")
