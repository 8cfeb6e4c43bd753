"""Names that become files and folders, refused with the client's own error."""

from __future__ import annotations

from lived_protocol import errors, names

from lived.error import InvalidNameError


def checked_name(name: str) -> str:
    """``name``, if it can be a path below a run."""
    try:
        return names.check_name(name)
    except errors.InvalidNameError as exc:
        raise InvalidNameError(str(exc)) from None


def checked_id(run_id: str) -> str:
    """``run_id``, if it can be a folder's name."""
    try:
        return names.check_run_id(run_id)
    except errors.InvalidNameError as exc:
        raise InvalidNameError(str(exc)) from None
