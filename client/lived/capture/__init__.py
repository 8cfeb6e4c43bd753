"""Capture: turning what the trainer passes into values that can be put into an event.

What always holds: nothing captured shares memory with the trainer's objects, but for large arrays, which the journal
copies before the call returns; nothing heavy is encoded here, and importing this package imports no library of the
trainer's. Arrays, tensors, frames and figures are recognised by the
names of their types and by the methods such types share; numpy is used once it is there, on what is numpy's.
"""

from __future__ import annotations

from typing import Any

from lived_protocol import values

#: Kinds of numpy dtypes whose elements are their bytes, and nothing else.
_RAW_KINDS = "biufcSUMm"
#: Longest integer that is taken: the interpreter itself refuses to print integers of more than 4,300 digits.
MAX_INTEGER_BITS = 13_000
#: Number formats of accelerators that numpy knows only through add-on types; they travel as 32-bit floats.
_NARROW_FLOATS = ("bfloat16", "float8", "float6", "float4")


def is_a(val: object, module: str, name: str) -> bool:
    """Whether the class ``module.name`` is among the classes of ``val``, without importing it."""
    return any(cls.__name__ == name and cls.__module__ == module for cls in type(val).__mro__)


def is_numpy(val: object) -> bool:
    """Whether ``val`` is a numpy array or a numpy scalar."""
    return is_a(val, "numpy", "ndarray") or is_a(val, "numpy", "generic")


def ndarray_of(val: Any) -> Any:
    """A plain numpy array of the elements of an array, a tensor, a pandas Series or Index; None for anything else.

    The array may share memory with ``val``.
    """
    if is_numpy(val):
        import numpy as np

        return np.asarray(val)
    if isinstance(val, type):
        return None
    if all(hasattr(val, method) for method in ("detach", "cpu", "numpy")):
        tensor = val.detach().cpu()
        return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    if hasattr(val, "to_numpy"):
        return ndarray_of(val.to_numpy())
    if hasattr(val, "dtype") and hasattr(val, "shape") and hasattr(val, "__array__"):
        import numpy as np

        return np.asarray(val)
    return None


def raw(array: Any) -> values.Array | None:
    """The bytes of a numpy array or scalar, in C order; None where the elements are not their bytes (objects, records).

    ``shape`` is that of ``array``, ``dtype`` its type string with the byte order.
    """
    if array.dtype.kind not in _RAW_KINDS:
        if not array.dtype.name.startswith(_NARROW_FLOATS):
            return None
        array = array.astype("float32")
    return values.Array(array.dtype.str, tuple(int(length) for length in array.shape), elements(array))


def elements(array: Any) -> bytes | memoryview:
    """The bytes of a numpy array in C order; where there are many, and they lie so, as a view of them.

    A view is for the call only: the trainer may change the array as soon as that has returned.
    """
    if array.nbytes < values.BULK or not array.flags.c_contiguous:
        return bytes(array.tobytes())
    return memoryview(array.reshape(-1).view("u1"))


def exact(val: Any) -> Any:
    """``val`` as exactly the bool, int, float or str that it is a kind of; None if it is of none of them.

    The value itself is what counts: subclasses may print themselves in other ways (enums do), and would.
    """
    if isinstance(val, bool):
        return val
    if isinstance(val, int):
        return int.__int__(val)
    if isinstance(val, float):
        return float.__float__(val)
    if isinstance(val, str):
        return str.__str__(val)
    return None


def text_problem(val: object) -> str | None:
    """Why an exact str or int cannot be written to a file, or None if it can (or is of another type)."""
    if type(val) is str:
        try:
            val.encode()
        except UnicodeEncodeError:
            return "a str that is not valid Unicode (it has a lone surrogate)"
    elif type(val) is int and val.bit_length() > MAX_INTEGER_BITS:
        return f"an int of {val.bit_length()} bits, more than {MAX_INTEGER_BITS}"
    return None


def zero_dimensional(val: object) -> bool:
    """Whether ``val`` is a numpy scalar, or an array or tensor without axes."""
    shape = getattr(val, "shape", None)
    if isinstance(shape, tuple):
        return not shape
    return type(shape).__name__ == "TensorShape" and getattr(shape, "rank", None) == 0


def item(val: Any) -> Any:
    """The Python object in a numpy scalar, or in an array or tensor without axes; NaN in one that is masked."""
    if is_a(val, "numpy.ma", "MaskedArray") or is_a(val, "numpy.ma.core", "MaskedArray"):
        return val.filled(float("nan")).item() if val.dtype.kind == "f" or not val.mask else float("nan")
    return val.item() if hasattr(val, "item") else val.numpy().item()


def to_value(obj: Any) -> Any:
    """What may travel in place of ``obj``: the ``default`` hook of :func:`lived_protocol.values.pack`.

    Numpy arrays, numpy scalars and tensors travel as :class:`~lived_protocol.values.Array`; kinds of str, int, float,
    dict, list and tuple as exactly these.

    Raises:
        TypeError: nothing can travel in place of it.
    """
    plain = exact(obj)
    if plain is not None:
        return plain
    if isinstance(obj, dict):
        return dict(obj)
    if isinstance(obj, (list, tuple)):
        return list(obj)
    array = ndarray_of(obj)
    value = None if array is None else raw(array)
    if value is None:
        raise TypeError(f"a {type(obj).__module__}.{type(obj).__qualname__} cannot be logged")
    return value


def to_list(obj: Any) -> Any:
    """As :func:`to_value`, but arrays and tensors travel as numbers in lists."""
    array = ndarray_of(obj)
    return to_value(obj) if array is None or not array.ndim else array.tolist()
