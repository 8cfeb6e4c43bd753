"""Media that are text."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from lived.error import InvalidDataTypeError
from lived.media.base import Media


class Html(Media):
    """An HTML page.

    Args:
        data: the page as text, an open text file, or the path of a file that ends in ``.html``.
        inject: give it the style that pages have without one of their own.
        data_is_not_path: take ``data`` for a page whatever it looks like.
        caption: shown with it.

    Raises:
        InvalidDataTypeError: ``data`` is none of these.
        OSError: the file cannot be read.
    """

    kind: ClassVar[str] = "html"

    def __init__(
        self, data: Any, inject: bool = True, data_is_not_path: bool = False, caption: str | None = None
    ) -> None:
        if hasattr(data, "read"):
            if hasattr(data, "seek"):
                data.seek(0)
            data = data.read()
        elif not data_is_not_path and _is_path(data):
            with open(data, encoding="utf-8") as file:
                data = file.read()
        if isinstance(data, bytes):
            try:
                data = data.decode()
            except UnicodeDecodeError as exc:
                raise InvalidDataTypeError("Html", f"bytes that are not UTF-8: {exc}") from exc
        if not isinstance(data, str):
            raise InvalidDataTypeError("Html", type(data))
        super().__init__({"text": _styled(data) if inject else data, "caption": caption})


_STYLE = "<style>body { font-family: sans-serif; }</style>"


def _is_path(data: Any) -> bool:
    return isinstance(data, (str, os.PathLike)) and os.fspath(data).endswith(".html") and os.path.exists(data)


def _styled(page: str) -> str:
    """The page with a plain style, which stands in front of its own."""
    head = page.find("<head>")
    return page[: head + 6] + _STYLE + page[head + 6 :] if head >= 0 else _STYLE + page
