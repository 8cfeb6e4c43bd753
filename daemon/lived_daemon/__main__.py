"""``python -m lived_daemon``: the embedded daemon, as the first ``Live()`` starts it."""

from __future__ import annotations

import argparse
import os
import sys

import zmq

from lived_daemon.app import AlreadyRunningError, run_daemon
from lived_daemon.limits import OWN
from lived_daemon.settings import DEFAULT_IDLE_SECONDS, Settings


def main() -> int:
    """Run the embedded daemon; 0 also where another one was faster."""
    parser = argparse.ArgumentParser(prog="python -m lived_daemon")
    parser.add_argument("--home", required=True)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--lock", required=True)
    arguments = parser.parse_args()
    settings = Settings(
        home=arguments.home,
        endpoint=arguments.endpoint,
        lock_path=arguments.lock,
        fsync="never",
        idle_seconds=float(os.environ.get("LIVED_IDLE_SECONDS", DEFAULT_IDLE_SECONDS)),
        limits=OWN,
    )
    try:
        run_daemon(settings)
    except AlreadyRunningError:
        return 0
    except (OSError, zmq.ZMQError) as exc:
        print(f"the daemon cannot serve {settings.endpoint}: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
