"""What the report says of a run's files: where they are, for a browser, and what stands in them.

What always holds: no path leads out of the run directory, over a link neither; every text that was logged comes out as
text of a page, whose braces dvc-render does not take for its own.
"""

from __future__ import annotations

import html
import os
import stat
from typing import Any
from urllib.parse import quote

from lived_daemon.beneath import FOLDER, open_beneath

__all__ = ["RunFiles", "text"]


def text(value: object) -> str:
    """``value`` as text of an HTML page, within an attribute in double quotes too."""
    whole = str(value).encode("utf-8", "replace").decode()  # halves of characters have no form in a file
    return html.escape(whole).replace("{", "&#123;")


class RunFiles:
    """The files of the run directory ``directory``.

    ``missing`` are those that the page could not refer to, ``unread`` a sentence for each that it could not show, and
    ``spent`` is how many bytes were read. Nothing is missing while files are ``awaited``, which may be under way.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.missing: list[str] = []
        self.unread: list[str] = []
        self.spent = 0
        self.awaited = False

    def url(self, path: Any) -> str | None:
        """The address of a file relative to the page, or None if there is no such file; it is missing then."""
        found = self.address(path)
        if found is None and not self.awaited:
            self.missing.append(str(path))
        return found

    def address(self, path: Any) -> str | None:
        """As :meth:`url`, without a word about it."""
        if is_inside(path) and os.path.isfile(os.path.join(self.directory, path)):
            return text(quote(path))
        return None

    def read(self, path: Any, most: int = -1) -> bytes:
        """What stands in a file, or its first ``most`` bytes.

        Raises:
            OSError: it cannot be read, or a link is on the way to it.
            ValueError: it is no file, or its path leads out.
        """
        if not is_inside(path):
            raise ValueError(f"{path!r} is no path in the run directory")
        folder = os.open(self.directory, FOLDER & ~os.O_NOFOLLOW)
        try:
            fd = open_beneath(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        finally:
            os.close(folder)
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise ValueError(f"{path} is no file")
            content = file.read(most)
        self.spent += len(content)
        return content

    def size(self, path: str) -> int:
        """How many bytes a file has; 0 for one that is not there."""
        try:
            return os.stat(os.path.join(self.directory, path), follow_symlinks=False).st_size
        except OSError:
            return 0


def is_inside(path: Any) -> bool:
    """Whether ``path`` is a relative path of plain components."""
    if not isinstance(path, str) or "\0" in path or {"", ".", ".."} & set(path.split("/")):
        return False
    return path == path.encode("utf-8", "replace").decode()
