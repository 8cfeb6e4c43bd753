"""The command ``lived``: run a daemon by hand, ask how things stand, stop it, recover what was left, see a demo.

What is expected to go wrong ends in one line on stderr and exit code 1. Standard output holds the answer alone, so that
``lived status --json`` can be piped.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click
from lived_protocol import __version__, places

from lived_daemon import status as status_of
from lived_daemon import system
from lived_daemon.shown import shown

if TYPE_CHECKING:
    from lived_daemon.settings import Settings

DEFAULT_BIND = "tcp://127.0.0.1:7811"
#: How many runs ``lived status`` shows without ``--all``.
SHOWN_RUNS = 15
_POLL_SECONDS = 0.05
_LOOPBACK = ("127.", "localhost", "[::1]")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lived")
def main() -> None:
    """Asynchronous logging for training loops: the daemon's side."""


@main.command()
@click.option("--bind", default=DEFAULT_BIND, show_default=True, help="Address to listen on, tcp://HOST:PORT.")
@click.option("--home", type=click.Path(file_okay=False), help="Where checkpoints and logs go (LIVED_HOME).")
@click.option(
    "--fsync",
    type=click.Choice(["never", "checkpoint"]),
    default="checkpoint",
    show_default=True,
    help="What acknowledged events survive: a crash of processes (never), a power cut too (checkpoint).",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    default="info",
    show_default=True,
)
def serve(bind: str, home: str | None, fsync: str, log_level: str) -> None:
    """Run a daemon in the foreground, for trainers that are pointed at it."""
    import zmq

    from lived_daemon.app import run_daemon

    settings = serve_settings(os.path.abspath(home) if home else places.home(os.environ), bind, fsync, log_level)
    for record in status_of.running_daemons(settings.home, settings.lock_path):
        if record.lock_path == settings.lock_path:
            raise click.ClickException(
                f"a daemon (pid {record.pid}, {record.endpoint}) already serves {settings.home}; "
                "end it with `lived stop`, or choose another --home"
            )
    host, port = split_address(bind)
    if host in ("*", "0.0.0.0", "[::]"):
        host = socket.gethostname()
    if not host.startswith(_LOOPBACK):
        click.echo(f"warning: who can reach port {port} can write files as you; keep it off open networks", err=True)
    click.echo(f"lived {__version__} listens on {bind}; in trainers: export LIVED_ENDPOINT=tcp://{host}:{port}")
    sys.stdout.flush()
    try:
        run_daemon(settings)
    except (OSError, zmq.ZMQError) as exc:  # the port is taken, the host is not ours, the home cannot be written
        raise click.ClickException(f"cannot serve on {bind}: {exc.strerror or exc}") from exc


def serve_settings(home: str, bind: str, fsync: str, log_level: str) -> Settings:
    """The settings of a daemon run by hand: in the foreground, and never leaving because it is idle."""
    from lived_daemon.settings import Settings

    return Settings(
        home=home,
        endpoint=bind,
        lock_path=status_of.own_lock(home),
        fsync="never" if fsync == "never" else "checkpoint",
        idle_seconds=None,
        log_level=log_level.upper(),
        foreground=True,
    )


def split_address(bind: str, hint: str = "--bind") -> tuple[str, str]:
    """Host and port of ``tcp://HOST:PORT``.

    Raises:
        click.BadParameter: not such an address.
    """
    scheme, _, rest = bind.partition("://")
    host, _, port = rest.rpartition(":")
    if scheme != "tcp" or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise click.BadParameter(f"{bind!r} is not an address; use tcp://HOST:PORT", param_hint=hint)
    return host, port


@main.command()
@click.option("--json", "as_json", is_flag=True, help='Print {"daemon": ..., "runs": [...]} and nothing else.')
@click.option("--all", "show_all", is_flag=True, help="Show every run, not the latest ones.")
def status(as_json: bool, show_all: bool) -> None:
    """Show the daemon and the runs, with how far each is written."""
    endpoint = os.environ.get("LIVED_ENDPOINT") or None
    home = places.home(os.environ)
    found = status_of.gather(home, endpoint)
    if as_json:
        click.echo(json.dumps({"daemon": found.daemon, "runs": found.runs}, indent=2))
    else:
        from lived_daemon.table import show

        show(found, home, SHOWN_RUNS if not show_all else len(found.runs))
    for note in found.notes:
        click.echo(f"note: {shown(note)}", err=True)
    if endpoint is not None and not found.answered:
        sys.exit(1)


@main.command()
@click.option("--timeout", default=120.0, show_default=True, help="Seconds to wait for the daemon to finish.")
def stop(timeout: float) -> None:
    """End the daemon once it has written what it holds; journals keep the rest for the next one."""
    endpoint = os.environ.get("LIVED_ENDPOINT")
    home = places.home(os.environ)
    if endpoint:
        stop_remote(endpoint)
        locks = [record for record in status_of.running_daemons(home, "") if record.endpoint == endpoint]
    else:
        locks = list(status_of.running_daemons(home, status_of.own_lock(home)))
        if not locks:
            click.echo(f"no daemon is running for {home}")
        for record in locks:
            signal_daemon(record.pid)
    for record in locks:
        wait_until_free(record, timeout)
        click.echo(f"the daemon (pid {record.pid}) has stopped")


def stop_remote(endpoint: str) -> None:
    """Ask the daemon at ``endpoint`` to stop.

    Raises:
        click.ClickException: it does not answer.
    """
    try:
        status_of.ask(endpoint, "stop")
    except status_of.NoAnswerError as exc:
        raise click.ClickException(str(exc)) from exc
    click.echo(f"the daemon at {endpoint} has been told to stop")


def signal_daemon(pid: int) -> None:
    """Send SIGTERM to the daemon ``pid``, whose lock is held.

    Raises:
        click.ClickException: it is not ours, or lives in another container.
    """
    try:
        os.kill(pid, signal.SIGTERM)
    except PermissionError as exc:
        raise click.ClickException(f"the daemon (pid {pid}) belongs to another user") from exc
    except ProcessLookupError as exc:
        raise click.ClickException(
            f"the daemon (pid {pid}) cannot be seen from here; stop it on its own host or in its own container"
        ) from exc


def wait_until_free(
    record: status_of.DaemonRecord, timeout: float, is_locked: Callable[[str], bool] = system.is_locked
) -> None:
    """Wait until the daemon has dropped its lock; after a second, show that on a terminal.

    Raises:
        click.ClickException: it has not within ``timeout`` seconds.
    """
    start = time.monotonic()
    said = False
    while is_locked(record.lock_path):
        waited = time.monotonic() - start
        if waited > timeout:
            raise click.ClickException(
                f"the daemon (pid {record.pid}) is still busy after {timeout:g} s; it has been told and will end when "
                "it is done (`lived status` shows how far it is)"
            )
        if waited > 1 and sys.stderr.isatty():
            click.echo(f"\rwaiting for the daemon to write what it holds ... {waited:.0f} s", err=True, nl=False)
            said = True
        time.sleep(_POLL_SECONDS)
    if said:
        click.echo("", err=True)


@main.command()
@click.argument("names", nargs=-1, metavar="[RUN_DIRECTORY | PRODUCER]...")
@click.option("--list", "listing", is_flag=True, help="Show what is left, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help='With --list: print {"journals": [...]} and nothing else.')
@click.option("--to", metavar="ADDRESS", help="Send it to tcp://HOST:PORT, whatever daemon it was written for.")
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds to wait; as long as it takes by default.")
def recover(names: tuple[str, ...], listing: bool, as_json: bool, to: str | None, timeout: float | None) -> None:
    """Bring into the tree what trainers have left that ended before it was written."""
    command = [sys.executable, "-m", "lived.recover"]
    if listing:
        show_left([*command, "--list"], as_json)
        return
    if as_json:
        raise click.UsageError("--json goes with --list")
    if to is not None:
        split_address(to, "--to")
        command += ["--to", to]
    if timeout is not None:
        command += ["--timeout", str(timeout)]
    os.execv(sys.executable, [*command, "--", *names])  # so that what ends this process ends that program


def show_left(command: list[str], as_json: bool) -> None:
    """Show what the client's program says is left."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.returncode if done.returncode > 0 else 128 - done.returncode)
    if as_json:
        click.echo(done.stdout, nl=False)
    else:
        from lived_daemon.table_left import show

        show(json.loads(done.stdout)["journals"], places.home(os.environ))


@main.command()
@click.argument("directory", metavar="RUN_DIRECTORY")
@click.option("--run", "run_id", metavar="RUN_ID", help="The run's id, for a tree that was moved or copied.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON and nothing else.")
def verify(directory: str, run_id: str | None, as_json: bool) -> None:
    """Hold a finished run's tree against what its trainers were acknowledged for.

    The exit code is 0 if all of it is there and unchanged, 1 if anything is missing, changed or extra, 2 if that cannot
    be told.
    """
    from lived_daemon import table_verify
    from lived_daemon import verify as verification

    try:
        verdict = verification.verify(places.home(os.environ), directory, run_id)
    except verification.UnverifiableError as exc:
        click.echo(f"Error: {exc}", err=True)
        sys.exit(2)
    if as_json:
        click.echo(json.dumps(verdict.shown(), indent=2))
    else:
        table_verify.show(verdict)
    sys.exit(0 if verdict.whole else 1)


@main.command()
@click.option("--dir", "directory", default="lived-demo", show_default=True, help="Where the demonstration is logged.")
@click.option("--epochs", type=click.IntRange(min=1), default=15, show_default=True)
def demo(directory: str, epochs: int) -> None:
    """Train a small classifier on handwritten digits and log everything there is."""
    command = [sys.executable, "-m", "lived.demo", "--dir", directory, "--epochs", str(epochs)]
    code = subprocess.run(command, check=False).returncode
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
