"""``watch``: parameters and gradients of a model of torch's, as histograms.

What always holds: a hook copies numbers and nothing more, the daemon counts them; torch is not imported here; a hook
raises nothing into the training, and does nothing once the run is finished.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from lived.capture import is_a, ndarray_of

LOGS = ("gradients", "parameters", "all", None)
#: Logs media under a key into the row that is open.
Log = Callable[[dict[str, Any]], None]


class _Handle(Protocol):
    def remove(self) -> None: ...


class Watch:
    """The hooks in one model, which are there until :meth:`remove`.

    Args:
        model: a ``torch.nn.Module``.
        log: ``"gradients"``, ``"parameters"``, ``"all"`` or None for neither.
        log_freq: every how many passes; forwards for parameters, backwards for gradients.
        prefix: of the names in it.
        to: logs them.
        warn: is told what went wrong.
    """

    def __init__(
        self, model: Any, log: str | None, log_freq: int, prefix: str, to: Log, warn: Callable[[Exception], None]
    ) -> None:
        self.model = model
        self._handles: list[_Handle] = []
        self._to = to
        self._warn = warn
        if log in ("parameters", "all"):
            self._watch_parameters(log_freq, prefix)
        if log in ("gradients", "all"):
            self._watch_gradients(log_freq, prefix)

    def _watch_parameters(self, log_freq: int, prefix: str) -> None:
        is_due = _every(log_freq)

        def after_forward(module: Any, *_: Any) -> None:
            if is_due():
                for name, parameter in module.named_parameters():
                    self._log(f"parameters/{prefix}{name}", parameter)

        self._handles.append(self.model.register_forward_hook(after_forward))

    def _watch_gradients(self, log_freq: int, prefix: str) -> None:
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                self._handles.append(
                    parameter.register_hook(self._gradient_hook(f"gradients/{prefix}{name}", log_freq))
                )

    def _gradient_hook(self, key: str, log_freq: int) -> Callable[[Any], None]:
        is_due = _every(log_freq)

        def with_gradient(gradient: Any) -> None:
            if is_due():
                self._log(key, gradient)

        return with_gradient

    def _log(self, key: str, tensor: Any) -> None:
        try:
            self._log_finite(key, tensor)
        except Exception as exc:  # noqa: BLE001 - it would stop a backward pass
            self._warn(exc)

    def _log_finite(self, key: str, tensor: Any) -> None:
        import numpy as np

        from lived.media import Histogram

        tensor = tensor.detach()
        if getattr(tensor, "is_sparse", False):
            tensor = tensor.coalesce().values()
        array = ndarray_of(tensor)
        if array is None or not array.size:
            return
        finite = array if np.isfinite(array).all() else array[np.isfinite(array)]
        if finite.size:
            self._to({key: Histogram(finite)})

    def remove(self) -> None:
        """Take all hooks out of the model."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()


def modules(models: Any) -> Iterator[Any]:
    """``models``, one or a sequence, each of which must be a module of torch's.

    Raises:
        TypeError: one is not.
    """
    for model in models if isinstance(models, Sequence) else [models]:
        if not is_a(model, "torch.nn.modules.module", "Module"):
            raise TypeError(f"watch takes modules of PyTorch (torch.nn.Module), not {type(model)}")
        yield model


def _every(count: int) -> Callable[[], bool]:
    """What is True at every ``count``-th call."""
    calls = 0

    def is_due() -> bool:
        nonlocal calls
        calls = (calls + 1) % count
        return not calls

    return is_due
