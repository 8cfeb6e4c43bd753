"""Charts of plotly, and figures of matplotlib as such charts."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

from lived_protocol import values

from lived.capture import is_a
from lived.error import InvalidDataTypeError
from lived.media.base import Media
from lived.media.image import Image


class Plotly(Media):
    """A chart of plotly's.

    Args:
        val: a figure of plotly; the dict or the path of a ``.json`` file of one; a figure of matplotlib that plotly can
            convert, or pyplot for its current one (needs plotly where the trainer runs, which closes the figure).
        caption: shown with it.

    Raises:
        InvalidDataTypeError: it is none of these, or cannot be converted.
        OSError: the file cannot be read.
    """

    kind: ClassVar[str] = "plotly"

    def __init__(self, val: Any, caption: str | None = None) -> None:
        text = _json(val).encode()
        super().__init__({"json": values.Array("|u1", (len(text),), text), "caption": caption})

    @classmethod
    def make_plot_media(cls, val: Any) -> Plotly | Image:
        """``val`` as a chart; a figure of matplotlib that plotly cannot convert, or without plotly, as an image.

        Such a figure is closed, whichever becomes of it: in a loop, the next one begins anew.
        """
        figure = _matplotlib(val)
        if figure is None:
            return cls(val)
        try:
            return cls(figure)
        except InvalidDataTypeError:
            image = Image(figure)
            if "matplotlib.pyplot" in sys.modules:
                sys.modules["matplotlib.pyplot"].close(figure)
            return image


def _matplotlib(val: Any) -> Any:
    """The figure of matplotlib that ``val`` is, has, or has as its current one; None if there is none."""
    if getattr(val, "__name__", None) == "matplotlib.pyplot":
        return val.gcf()
    if is_a(val, "matplotlib.figure", "Figure"):
        return val
    return val.get_figure() if hasattr(val, "get_figure") else None


def _json(val: Any) -> str:
    figure = _matplotlib(val)
    if figure is not None:
        val = _converted(figure)
    if hasattr(val, "to_plotly_json") and hasattr(val, "to_json"):
        return str(val.to_json())
    if isinstance(val, (str, os.PathLike)):
        with open(val, encoding="utf-8") as file:
            val = _parsed(file.read())
    if not isinstance(val, Mapping) or "data" not in val:
        raise InvalidDataTypeError("Plotly", f"{type(val)} is no figure of plotly or matplotlib, and no dict of one")
    try:
        return json.dumps(val, allow_nan=False)
    except (TypeError, ValueError) as exc:
        raise InvalidDataTypeError("Plotly", f"the dict has no form in JSON: {exc}; give plotly's figure") from exc


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as exc:
        raise InvalidDataTypeError("Plotly", f"the file is not JSON: {exc}") from exc


def _converted(figure: Any) -> Any:
    try:
        from plotly.tools import mpl_to_plotly
    except ImportError as exc:
        raise InvalidDataTypeError("Plotly", "a figure of matplotlib needs plotly: pip install 'lived[media]'") from exc
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", UserWarning)  # plotly leaves a part out
            return mpl_to_plotly(figure)
    except Exception as exc:
        raise InvalidDataTypeError("Plotly", f"plotly cannot convert the figure ({exc}); log it as Image") from exc
