"""The step: set by hand, skipped, set back, and read."""

from kit import Live, check_json, check_rows

with Live("set", save_dvc_exp=False) as live:
    assert live.step == 0
    for step in (5, 10, 3):
        live.step = step
        live.log_metric("a", step * 1.5)
        live.make_summary()
        check_json("set/metrics.json", {"a": step * 1.5, "step": step})
    check_rows("set/plots/metrics/a.tsv", [["5", "7.5"], ["10", "15.0"], ["3", "4.5"]])
    live.next_step()
    assert live.step == 4
    live.log_metric("b", 1)

with Live("never", save_dvc_exp=False) as live:
    live.log_metric("a", 1)
    live.log_metric("a", 2)
    live.log_metric("a", 3)

with Live("first", save_dvc_exp=False) as live:
    live.next_step()
    live.next_step()
    live.log_metric("late", 1)

live = Live("without-with", save_dvc_exp=False)
live.log_metric("a", 1)
live.next_step()
live.log_metric("a", 2)
live.end()
