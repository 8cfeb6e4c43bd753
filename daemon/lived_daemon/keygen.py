"""``lived keygen``: make the keys of a daemon or of a client, and say what goes where."""

from __future__ import annotations

import os

import click
from lived_protocol import keys as format_of_keys
from lived_protocol import places
from lived_protocol.errors import InvalidKeyError

from lived_daemon import keys


@click.command(short_help="Make the keys of a daemon or of a client.")
@click.argument("name", required=False)
@click.option("--server", is_flag=True, help="The pair of a daemon, instead of that of the client NAME.")
@click.option("--keys", "folder", type=click.Path(file_okay=False), help="Where the files go; $LIVED_HOME/keys.")
@click.option("--project", "projects", multiple=True, help="A project that the client may write, or a pattern; all.")
@click.option("--admin", is_flag=True, help="The client may stop the daemon.")
@click.option("--server-key", help="The daemon's public key, for the client's file (no secret).")
def keygen(
    name: str | None, server: bool, folder: str | None, projects: tuple[str, ...], admin: bool, server_key: str | None
) -> None:
    """Make the keys of a daemon (--server) or of the client NAME, and say what goes where."""
    if server == (name is not None) or (server and (projects or admin or server_key)):
        raise click.UsageError("say either --server, or the NAME of a client")
    folder = os.path.abspath(folder) if folder else os.path.join(places.home(os.environ), "keys")
    try:
        if name is None:
            _server(folder)
        else:
            format_of_keys.check_client_name(name)
            if server_key is not None:
                format_of_keys.check_key(server_key, f"--server-key {server_key!r}")
            may = {**({"projects": list(projects)} if projects else {}), **({"admin": True} if admin else {})}
            _client(folder, name, server_key, may)
    except InvalidKeyError as exc:
        raise click.ClickException(str(exc)) from exc
    except OSError as exc:
        raise click.ClickException(f"{exc.filename or folder}: {exc.strerror or exc}") from exc


def _server(folder: str) -> None:
    path, public = keys.make_server(folder)
    click.echo(f"the daemon's secret key is in {path}; it stays on this machine")
    click.echo(f"its public key, for its clients: export LIVED_SERVER_KEY='{public}'")
    click.echo(f"`lived serve --keys {folder}` lets in the clients whose NAME.pub lies in")
    click.echo(f"{os.path.join(folder, format_of_keys.AUTHORIZED)}; `lived keygen NAME --keys {folder}` makes one")


def _client(folder: str, name: str, server: str | None, may: dict[str, object]) -> None:
    secret, public, known = keys.make_client(folder, name, server, may)
    if known:
        click.echo(f"the daemon with the keys in {folder} lets {name} in from now on, by {public}")
        click.echo(f"move {secret} to the client, over a way that nobody else reads. There:")
    else:
        click.echo(f"copy {public} to the daemon's machine, into its folder {format_of_keys.AUTHORIZED}")
        click.echo(f"{secret} stays with the client. There:")
    click.echo(f"  chmod 600 {os.path.basename(secret)}; export LIVED_KEY_FILE=$PWD/{os.path.basename(secret)}")
    if not (server or os.path.exists(os.path.join(folder, format_of_keys.SERVER + format_of_keys.PUBLIC_SUFFIX))):
        click.echo("  export LIVED_SERVER_KEY=..., the public key that `lived serve` prints when it starts")
