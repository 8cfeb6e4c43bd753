"""Rows: what ``live.log`` makes of a dict, and at which step each of its values stands.

What always holds: every value is in the journal when the call returns, whether its row is closed or not; a row is only
what is logged at one step. A step that is behind the current one is logged at all the same.

Decisions:

1. *Arrays, tensors and lists of numbers* have no form in a file of rows. More than 32 elements are a histogram, as in
   wandb. Fewer are a metric each, named by their place (``key.0``, ``key.1``, of two axes ``key.0.1``), so that they
   can be plotted; wandb keeps the list, which it cannot plot. A single one is the metric itself.
2. *Images, figures and frames* are those of Pillow, matplotlib, plotly and pandas, alone or in lists, in place of an
   ``Image``, a ``Plotly`` or a ``Table`` of :mod:`lived.media`.
3. *A value that fails when it is looked at* (an image whose file is torn, a tensor without data) is refused as one of a
   wrong type is, so that what stands beside it is logged.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lived import media
from lived.capture import is_a, ndarray_of, zero_dimensional
from lived.error import DvcLiveError, InvalidDataTypeError, InvalidNameError
from lived.media.base import Media

#: Logs one metric, and media, of the row.
LogMetric = Callable[[str, Any], None]
LogMedia = Callable[[str, list[Media]], None]
#: Elements of an array that are still a metric each.
MOST_ELEMENTS = 32
_NUMBERS = (int, float)
#: What is neither media nor an array nor a dict, told without a look at anything else.
SCALARS = (float, int, str)


#: Why an entry cannot be logged: it is neither a value of a metric nor media, or its key can name neither.
REFUSALS = (InvalidDataTypeError, InvalidNameError)


def names_in(data: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The names of the entries of ``data`` and of the dicts in it, whose keys are joined with dots."""
    for key, value in data.items():
        if not isinstance(key, str):
            continue
        if not isinstance(value, SCALARS) and isinstance(value, Mapping):
            yield from names_in(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def log_row(
    data: Mapping[str, Any], log_metric: LogMetric, log_media: LogMedia, prefix: str = ""
) -> InvalidDataTypeError | InvalidNameError | None:
    """Log every entry of ``data`` that can be logged; why the first that cannot be is refused, if there is one."""
    refused: InvalidDataTypeError | InvalidNameError | None = None
    for key, value in data.items():
        try:
            if not isinstance(key, str):
                raise InvalidDataTypeError("key", type(key))
            name = prefix + key
            if not isinstance(value, SCALARS) and isinstance(value, Mapping):
                found = log_row(value, log_metric, log_media, f"{name}.")
                refused = refused or found
            else:
                _log_entry(name, value, log_metric, log_media)
        except REFUSALS as exc:
            refused = refused or exc
        except RecursionError as exc:
            if prefix:
                raise  # only where the stack is short again
            refused = refused or too_deep(key, exc)
    return refused


def too_deep(key: str, cause: RecursionError) -> InvalidDataTypeError:
    """Why a dict that has itself in it is refused."""
    refused = InvalidDataTypeError(key, "dicts lie in each other too deep, or in themselves")
    refused.__cause__ = cause
    return refused


def _log_entry(key: str, value: Any, log_metric: LogMetric, log_media: LogMedia) -> None:
    found = None if isinstance(value, SCALARS) else _seen(key, value)
    if found is None:
        log_metric(key, value)
    elif isinstance(found, list):
        log_media(key, found)
    else:
        for place, element in _placed(found.tolist(), "", found.ndim):
            log_metric(key + (place if found.size > 1 else ""), element)


def _seen(key: str, value: Any) -> Any:
    """What ``value`` is: a list of media, an array whose elements are a metric each, or None for a metric itself.

    Raises:
        InvalidDataTypeError: it is neither, or fails when it is looked at.
    """
    try:
        if zero_dimensional(value):
            return None
        several = _media_of(key, value)
        if several is not None:
            return several
        array = _array_of(key, value)
        return array if array.size <= MOST_ELEMENTS else [media.Histogram.passing(array, key)]
    except DvcLiveError:
        raise
    except Exception as exc:
        raise InvalidDataTypeError(key, f"{type(value)} fails: {type(exc).__name__}: {exc}") from exc


def _media_of(key: str, value: Any) -> list[Media] | None:
    """The media that ``value`` is, alone or as a list; None if it is none."""
    several = value if isinstance(value, (list, tuple)) else [value]
    if not several or not all(isinstance(one, Media) or any(is_it(one) for is_it in _SHOWN) for one in several):
        return None
    made = [one if isinstance(one, Media) else _shown(one) for one in several]
    kinds = {one.kind for one in made}
    if len(kinds) > 1:
        raise InvalidDataTypeError(key, f"a list of several kinds of media ({', '.join(sorted(kinds))})")
    return made


def _is_picture(value: Any) -> bool:
    return is_a(value, "PIL.Image", "Image")


def _is_figure(value: Any) -> bool:
    """Whether ``value`` is a figure of matplotlib's or plotly's, or ``pyplot``, which stands for the current one."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    known = is_a(value, "matplotlib.figure", "Figure") or is_a(value, "plotly.basedatatypes", "BaseFigure")
    return known or (pyplot is not None and value is pyplot)


def _is_frame(value: Any) -> bool:
    return is_a(value, "pandas.core.frame", "DataFrame") or is_a(value, "pandas", "DataFrame")


def _image(value: Any) -> Media:
    return media.Image(value)  # type: ignore[no-any-return]


def _chart(value: Any) -> Media:
    return media.Plotly.make_plot_media(value)  # type: ignore[no-any-return]


def _table(value: Any) -> Media:
    return media.Table(dataframe=value)  # type: ignore[no-any-return]


#: What is shown as media without being one -> as which.
_SHOWN = {_is_picture: _image, _is_figure: _chart, _is_frame: _table}


def _shown(value: Any) -> Media:
    return next(made_of(value) for is_it, made_of in _SHOWN.items() if is_it(value))


def _array_of(key: str, value: Any) -> Any:
    """The array of numbers that an array, a tensor or a list is.

    Raises:
        InvalidDataTypeError: it is none of these, or one without numbers.
    """
    if isinstance(value, (list, tuple)):
        if not value:
            raise InvalidDataTypeError(key, f"an empty {type(value).__name__}")
        if not all(isinstance(one, _NUMBERS) for one in value):
            raise InvalidDataTypeError(key, f"a {type(value).__name__} of other things than numbers or media")
        import numpy as np

        return np.array(value)
    array = ndarray_of(_unmasked(value)) if hasattr(value, "shape") else None
    if array is None:
        raise InvalidDataTypeError(key, type(value))
    if array.dtype.kind not in "biuf" or not array.size:
        raise InvalidDataTypeError(key, f"an array of {array.dtype} of shape {array.shape}, which has no numbers")
    return array


def _unmasked(value: Any) -> Any:
    """A masked array without what is masked; with NaN in its place, where elements are a metric each."""
    if not hasattr(value, "mask") or not hasattr(value, "compressed"):
        return value
    return value.compressed() if value.size > MOST_ELEMENTS else value.astype(float).filled(float("nan"))


def _placed(nested: Any, place: str, axes: int) -> Iterator[tuple[str, Any]]:
    if not axes:
        yield place, nested
        return
    for index, below in enumerate(nested):
        yield from _placed(below, f"{place}.{index}", axes - 1)
