"""The command ``lived``: run a daemon by hand, ask how things stand, stop it, recover what was left, see a demo.

What is expected to go wrong ends in one line on stderr and exit code 1. Standard output holds the answer alone, so that
``lived status --json`` can be piped.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from lived_protocol import __version__, places
from lived_protocol.errors import InvalidKeyError

from lived_daemon import status as status_of
from lived_daemon import system
from lived_daemon.configuration import commands, kinds, options
from lived_daemon.keygen import keygen
from lived_daemon.shown import shown

if TYPE_CHECKING:
    from lived_daemon.settings import Settings

#: How many runs ``lived status`` shows without ``--all``.
SHOWN_RUNS = 15
_POLL_SECONDS = 0.05


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lived")
def main() -> None:
    """Asynchronous logging for training loops: the daemon's side."""


main.add_command(keygen)


@main.command(short_help="Run a daemon in the foreground, for trainers elsewhere.")
@options.setting_options
def serve(config: str | None, **values: Any) -> None:
    """Run a daemon in the foreground, for trainers that are pointed at it and have a key (see `lived keygen`).

    A flag wins over its environment variable, that over the line in lived.yaml, that over the default.
    """
    import zmq

    from lived_daemon import logs
    from lived_daemon.app import run_daemon

    settings = serve_settings(options.given(values), config)
    for record in status_of.running_daemons(settings.home, settings.lock_path):
        if record.lock_path == settings.lock_path:
            raise click.ClickException(
                f"a daemon (pid {record.pid}, {record.endpoint}) already serves {settings.home}; "
                "end it with `lived stop`, or choose another --home"
            )
    listen = settings.endpoint
    host, port = split_address(listen)
    if host in ("*", "0.0.0.0", "[::]"):
        host = socket.gethostname()
    if settings.insecure:
        warning = f"who can reach port {port} can write files as you; keep it off open networks"
        click.echo(logs.line(logging.WARNING, warning, settings.log_format), err=True)
    else:
        settings = with_keys(settings, settings.keys_folder or os.path.join(settings.home, "keys"))
    click.echo(f"lived {__version__} listens on {listen}; in trainers: export LIVED_ENDPOINT=tcp://{host}:{port}")
    if settings.keys is not None:
        click.echo(
            f"its public key is {settings.keys.public}, for them: export LIVED_SERVER_KEY='{settings.keys.public}'"
        )
    sys.stdout.flush()
    try:
        run_daemon(settings)
    except (OSError, zmq.ZMQError) as exc:  # the port is taken, the host is not ours, the home cannot be written
        raise click.ClickException(f"cannot serve on {listen}: {exc.strerror or exc}") from exc


def serve_settings(flags: dict[str, Any], config: str | None) -> Settings:
    """The settings of a daemon run by hand: in the foreground.

    Raises:
        click.ClickException: something is given that is not allowed; every such thing is named.
    """
    from lived_daemon.configuration.sources import SettingsError, Sources

    try:
        return replace(Sources(flags, os.environ, config).read().settings, foreground=True)
    except SettingsError as exc:
        raise click.ClickException(str(exc)) from exc


def with_keys(settings: Settings, folder: str) -> Settings:
    """``settings`` with the keys in ``folder``, and with an address where this user needs none.

    Raises:
        click.ClickException: there is no server key, or it cannot be used.
    """
    from lived_daemon import keys

    key = places.daemon_key(settings.home, sys.prefix, os.getuid(), system.host())
    sockets = places.socket_folder(os.environ, os.environ.get("TMPDIR") or "/tmp", os.getuid())
    try:
        server = keys.load_server(folder)
    except FileNotFoundError as exc:
        raise click.ClickException(
            f"{folder} has no server.key, and without keys whoever reaches {settings.endpoint}, other users of this "
            f"machine among them, could write files as you. Make keys with `lived keygen --server --keys {folder}` and "
            f"`lived keygen NAME --keys {folder}`, or say --insecure where everybody is trusted"
        ) from exc
    except OSError as exc:
        raise click.ClickException(f"{exc.filename}: {exc.strerror}") from exc
    except InvalidKeyError as exc:
        raise click.ClickException(str(exc)) from exc
    return replace(settings, keys=server, local_endpoint=f"ipc://{places.socket_path(sockets, key)}")


def split_address(listen: str, hint: str = "--listen") -> tuple[str, str]:
    """Host and port of ``tcp://HOST:PORT``.

    Raises:
        click.BadParameter: not such an address.
    """
    try:
        return kinds.split_address(listen)
    except ValueError as exc:
        raise click.BadParameter(f"{listen!r} is not an address; use tcp://HOST:PORT", param_hint=hint) from exc


main.add_command(commands.config)


@main.command(short_help="Show the daemon and the runs, and how far each is written.")
@click.option("--json", "as_json", is_flag=True, help='Print {"daemon": ..., "runs": [...]} and nothing else.')
@click.option("--all", "show_all", is_flag=True, help="Show every run, not the latest ones.")
@click.option("--watch", is_flag=True, help="Show it again and again, with rates; with --json one line each time.")
@click.option("--interval", type=click.FloatRange(min=0.1), default=1.0, show_default=True, help="Seconds between.")
def status(as_json: bool, show_all: bool, watch: bool, interval: float) -> None:
    """Show the daemon and the runs, with how far each is written."""
    endpoint = os.environ.get("LIVED_ENDPOINT") or None
    home = places.home(os.environ)
    if watch:
        from lived_daemon import table_watch

        table_watch.watch(lambda: status_of.gather(home, endpoint), home, interval, as_json)
        return
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


@main.command(short_help="End the daemon once it has written what it holds.")
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


@main.command(short_help="Bring into the tree what trainers have left behind.")
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


@main.command(short_help="Check that all that was logged to a finished run is in its tree.")
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


@main.command(short_help="Print a unit for systemd that runs `lived serve`.")
@click.option("--user", default="lived", show_default=True, help="The user that results belong to.")
@click.option("--results", multiple=True, default=["/srv/runs"], show_default=True, help="Where it may write.")
def systemd(user: str, results: tuple[str, ...]) -> None:
    """Print a unit for systemd that runs `lived serve` as a service."""
    from lived_daemon.deploy.unit import unit

    program = os.path.join(os.path.dirname(sys.executable), "lived")
    try:
        click.echo(unit(program, user, list(results)), nl=False)
    except ValueError as exc:
        raise click.ClickException(str(exc)) from exc


@main.command(short_help="Train on handwritten digits and log everything there is.")
@click.option("--dir", "directory", default="lived-demo", show_default=True, help="Where the demonstration is logged.")
@click.option("--epochs", type=click.IntRange(min=1), default=15, show_default=True)
def demo(directory: str, epochs: int) -> None:
    """Train a small classifier on handwritten digits and log everything there is."""
    command = [sys.executable, "-m", "lived.demo", "--dir", directory, "--epochs", str(epochs)]
    code = subprocess.run(command, check=False).returncode
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
