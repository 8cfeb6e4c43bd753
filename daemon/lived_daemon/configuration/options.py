"""The table of settings as options of a command, and as people read it. No YAML is loaded here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from lived_daemon import settings as all_settings
from lived_daemon.configuration.kinds import YES_NO, Kind
from lived_daemon.settings import Setting

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _reader(kind: Kind) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    """What reads the option of a setting of this kind."""

    def read(context: click.Context, option: click.Parameter, value: str | None) -> Any:
        try:
            return None if value is None else kind.read(value)
        except ValueError as exc:
            raise click.BadParameter(str(exc), context, option) from exc

    return read


def setting_options(command: _Command) -> _Command:
    """Give ``command`` an option for each setting that has a flag, and ``--config``; see :func:`given`."""
    for each in filter(lambda each: each.flags, reversed(all_settings.table())):
        text = f"{each.about} [{each.variable}; default: {each.shown}]"
        # Said alone, the flag of what is yes or no means yes.
        alone: dict[str, Any] = {"is_flag": False, "flag_value": "yes"} if each.kind is YES_NO else {}
        shape = {"metavar": each.kind.metavar, "callback": _reader(each.kind), "help": text, **alone}
        command = click.option(*each.flags, each.key, **shape)(command)
    return click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False),
        help="The file with settings, else LIVED_CONFIG, else lived.yaml in the home, else /etc/lived/lived.yaml.",
    )(command)


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Of the ``values`` of the options, those that the command was given."""
    source = click.get_current_context().get_parameter_source
    return {key: value for key, value in values.items() if source(key) is ParameterSource.COMMANDLINE}


def rows(settings: list[Setting]) -> list[tuple[str, ...]]:
    """What there is to say of each setting: key, variable, flags, allowed, default, when a change applies, meaning."""
    return [
        (
            each.key,
            each.variable,
            ", ".join(each.flags),
            each.kind.allowed,
            str(each.shown),
            "at once" if each.live else "at the next start",
            each.about,
        )
        for each in settings
    ]


HEADINGS = ("key", "variable", "flag", "allowed", "default", "a change applies", "meaning")


def markdown(settings: list[Setting]) -> str:
    """The table for the operator's page."""
    lines = [HEADINGS, ("---",) * len(HEADINGS)]
    for key, variable, flags, allowed, default, when, about in rows(settings):
        shown = ", ".join(f"`{flag}`" for flag in flags.split(", ")) if flags else "-"
        lines.append((f"`{key}`", f"`{variable}`", shown, allowed, f"`{default}`", when, about))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
