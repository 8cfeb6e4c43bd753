"""``lived config``: what the settings are and where they come from, a file to begin with, and whether one is right."""

from __future__ import annotations

import json
import os
from typing import Any

import click
from lived_protocol import places

from lived_daemon import settings as all_settings
from lived_daemon.configuration import options


@click.group()
def config() -> None:
    """Show, write and check the settings of `lived serve`."""


@config.command("list")
@click.option("--markdown", is_flag=True, help="As a table in Markdown.")
def list_settings(markdown: bool) -> None:
    """Say what settings there are, and what each one means."""
    settings = all_settings.table()
    if markdown:
        click.echo(options.markdown(settings), nl=False)
        return
    for key, variable, flags, allowed, default, when, about in options.rows(settings):
        names = ", ".join(filter(None, (flags, variable)))
        click.echo(f"{key}  ({names})\n    {about}\n    {allowed}; default {default}; applies {when}")


@config.command()
@click.option("--json", "as_json", is_flag=True, help='Print {"KEY": {"value": ..., "source": ...}} and nothing else.')
@options.setting_options
def show(as_json: bool, config: str | None, **values: Any) -> None:
    """Show what `lived serve` would use, and where each value comes from; takes the same flags."""
    from lived_daemon.configuration.sources import SettingsError, Sources

    sources = Sources(options.given(values), os.environ, config)
    try:
        found = sources.read()
    except SettingsError as exc:
        raise click.ClickException(str(exc)) from exc
    table = all_settings.table()
    shown = {each.key: each.kind.show(each.of(found.settings)) for each in table}
    if as_json:
        click.echo(json.dumps({key: {"value": shown[key], "source": found.origins[key]} for key in shown}, indent=2))
        return
    widths = [max(map(len, map(str, column))) for column in (shown, shown.values())]
    for key, value in shown.items():
        click.echo(f"{key:<{widths[0]}}  {value!s:<{widths[1]}}  {found.origins[key]}")
    if sources.find() is None:
        click.echo(f"no file: neither {' nor '.join(sources.candidates)} is there", err=True)


@config.command()
@click.argument("path", required=False, metavar="[FILE]")
@options.setting_options
def init(path: str | None, config: str | None, **values: Any) -> None:
    """Write a lived.yaml that explains every setting, with the values of the flags that are given.

    FILE is lived.yaml in the home by default. One that is there keeps what it says; what it does not mention is added.
    """
    from lived_daemon.configuration import file, sources, writing
    from lived_daemon.writers.files import replace_file

    chosen = options.given(values)
    home = chosen.get("home") or places.home(os.environ)
    target = os.path.abspath(path or config or os.path.join(home, sources.FILE_NAME))
    try:
        earlier = ""
        if os.path.exists(target):
            with open(target, encoding="utf-8") as opened:
                earlier = opened.read()
        text = writing.rendered(earlier, chosen, target)
        if path is None and config is None:
            os.makedirs(home, mode=0o700, exist_ok=True)
        replace_file(target, text.encode(), 0o022, fsync=True)
    except (file.FileError, UnicodeDecodeError) as exc:
        raise click.ClickException(f"{exc}\n{target} is left as it is") from exc
    except OSError as exc:
        raise click.ClickException(f"{target} cannot be written: {exc.strerror or exc}") from exc
    click.echo(f"{target} is written")


@config.command()
@click.argument("path", metavar="FILE", type=click.Path())
def check(path: str) -> None:
    """Say whether `lived serve` would take FILE; each mistake has its line and column."""
    from lived_daemon.configuration import file

    try:
        found = file.load(path)
    except file.FileError as exc:
        raise click.ClickException(str(exc)) from exc
    click.echo(f"{path} is right: {len(found)} of {len(all_settings.table())} settings are set")
