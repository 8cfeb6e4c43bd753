"""What ``Live`` is given, made sure of: its directory, its kind of report, and what of the environment is told."""

from __future__ import annotations

import errno
import logging
import os

from lived_protocol import errors
from lived_protocol.names import check_run_id

from lived import repository
from lived.error import InvalidNameError, InvalidReportModeError
from lived.notebook import inside_notebook
from lived.settings import flag

logger = logging.getLogger("lived")


def report_mode(report: str | None) -> str | None:
    if report == "auto":
        return "md" if flag(os.environ, "CI") and repository.installed("matplotlib") else "html"
    if report not in (None, "html", "md", "notebook"):
        raise InvalidReportModeError(report)
    if report == "notebook" and not inside_notebook():
        logger.warning("report='notebook' needs a notebook to show it in; there will be no report")
        return None
    if report in ("md", "notebook") and not repository.installed("matplotlib"):
        logger.warning(f"report={report!r} needs matplotlib (pip install 'lived[markdown]'); there will be no report")
        return None
    return report


#: What of the environment a daemon elsewhere is told: what DVC's work looks at, and nothing that may be a secret.
TOLD_ELSEWHERE = ("DVC_", "DVCLIVE_", "LIVED_", "GIT_AUTHOR_", "GIT_COMMITTER_")


#: What no journal and no daemon is told.
TOLD_NOBODY = frozenset({"LIVED_KEY"})


def environment(local: bool) -> dict[str, str]:
    told = {
        key: value
        for key, value in os.environ.items()
        if (local or key.startswith(TOLD_ELSEWHERE)) and key not in TOLD_NOBODY
    }
    return {key: value for key, value in told.items() if _is_text(key) and _is_text(value)}


def _is_text(text: str) -> bool:
    """Whether ``text`` can travel: what is not UTF-8 in paths and in the environment has lone surrogates here."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def directory_of(given: str | os.PathLike[str]) -> str:
    """``dir`` as text.

    Raises:
        InvalidNameError: it is not UTF-8, or has a NUL byte.
        NotADirectoryError: it is a file, or below one.
    """
    path = os.fsdecode(given)
    if "\0" in path or not _is_text(os.path.realpath(path)):
        raise InvalidNameError(f"dir={path!r} has a NUL byte or is not UTF-8; choose a directory whose whole path is")
    if os.path.exists(path) and not os.path.isdir(path):
        raise NotADirectoryError(errno.ENOTDIR, "dir is a file; choose another name", path)
    above = os.path.abspath(path)
    while not os.path.lexists(above):
        above = os.path.dirname(above)
    if not os.path.isdir(above):
        raise NotADirectoryError(errno.ENOTDIR, f"dir={path!r} cannot be made below a file; choose another name", above)
    return path


def run_id_of(given: str | None) -> str:
    """The id of a run, one that nobody else has where none is given.

    Raises:
        InvalidNameError: it cannot be a part of a folder's name.
    """
    if given is None:
        return os.urandom(8).hex()
    try:
        return check_run_id(given)
    except errors.InvalidNameError as exc:
        raise InvalidNameError(f"{exc}; choose another for LIVED_RUN_ID or run_id=") from None


_opened: set[str] = set()


def open_once(report: str) -> None:
    """Show a report in the browser, where the user has asked for it, once in this process."""
    import pathlib
    import webbrowser

    if report not in _opened and os.path.exists(report):
        _opened.add(report)
        webbrowser.open(pathlib.Path(report).as_uri())
