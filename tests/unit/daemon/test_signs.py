"""Who waits for a checkpoint is told now and then that it is heard, or it would greet again."""

from __future__ import annotations

import time
from pathlib import Path

from lived_daemon.runs.registry import SIGN_SECONDS, Registry
from lived_protocol import PROTOCOL_VERSION, __version__, events, frames, messages

PRODUCER = bytes(range(16))


def test_who_waits_for_an_acknowledgement_is_told_that_it_is_heard_and_nobody_else_is(tmp_path: Path) -> None:
    """Before it takes the daemon for dead and greets again, which costs more; not where nothing of it is on its way."""
    posted: list[messages.Message] = []
    registry = Registry(str(tmp_path / "home"), False, lambda _, message: posted.append(message), "tcp://127.0.0.1:1")
    run = {
        "run_id": "r", "directory": str(tmp_path / "run"), "shown": "run", "cwd": str(tmp_path), "dvc_file": "dvc.yaml",
        "dvcyaml": False, "report": None, "notebook": None, "resume": False, "continues": False, "pid": 2**22 + 1,
        "host": "elsewhere", "umask": 0o022, "env": {}, "opened": 10**18, "save_dvc_exp": False, "cache_images": False,
        "exp_name": None, "exp_message": None,
    }  # fmt: skip
    opened = frames.encode(events.encode(events.Open(1, None, run)))
    metric = frames.encode(events.encode(events.Metric(1, 0, "a", events.METRIC_PLOT, 0.5)))

    def await_acknowledged(position: int) -> None:
        deadline = time.monotonic() + 60
        while not any(isinstance(each, messages.Acknowledge) and each.position == position for each in posted):
            assert time.monotonic() < deadline, posted
            time.sleep(0.01)

    try:
        registry.hello(messages.Hello(PROTOCOL_VERSION, __version__, PRODUCER, 0, "", run))
        registry.deliver(PRODUCER, messages.Data(0, opened + metric[:5]))
        await_acknowledged(len(opened))
        feed = next(iter(registry._workers.values())).intake.feeds[PRODUCER]

        def signs(seconds: float) -> list[messages.Message]:
            feed.told_at = time.monotonic() - seconds
            posted.clear()
            registry.tick()
            return list(posted)

        assert signs(SIGN_SECONDS) == [messages.Acknowledge(len(opened), feed.told_limit)]
        assert signs(0.0) == [], "it has been told just now"
        registry.deliver(PRODUCER, messages.Data(len(opened) + 5, metric[5:]))
        await_acknowledged(len(opened) + len(metric))
        assert signs(10 * SIGN_SECONDS) == [], "all it has sent is acknowledged"
    finally:
        registry.close(30.0)
