"""The demonstration behind ``lived demo``: a small real training job that logs everything there is.

It trains a neural network on scikit-learn's handwritten digits, and logs as a user would; nothing here is special to
the demonstration but the clock around ``log_metric``. scikit-learn, numpy and rich are imported when it runs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    Array = np.ndarray[Any, Any]

SEED = 7
BATCH = 32
HIDDEN = 64
LEARNING_RATE = 0.003
#: The digit that the binary curves tell from all others: it is mistaken most often.
DIGIT = 8
#: A picture of mistakes holds this many digits, each 8 x 8 pixels drawn this many times larger.
GRID_COLUMNS, GRID_ROWS, SCALE = 8, 3, 6


class Digits(NamedTuple):
    """Pixels ``(n, 64)`` from 0 to 1, labels ``(n,)`` from 0 to 9, for training and for evaluation."""

    train_x: Array
    train_y: Array
    eval_x: Array
    eval_y: Array


@dataclass
class Stopwatch:
    """``log_metric`` with a clock around it; ``nanoseconds`` has what each call took."""

    log_metric: Callable[[str, float], object]
    nanoseconds: list[int] = field(default_factory=list)

    def __call__(self, name: str, val: float) -> None:
        """Log, and note how long it took."""
        start = time.perf_counter_ns()
        self.log_metric(name, val)
        self.nanoseconds.append(time.perf_counter_ns() - start)

    def microseconds(self) -> float:
        """The median of a call; 0 before the first."""
        return statistics.median(self.nanoseconds) / 1000 if self.nanoseconds else 0.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration; the exit code is 0, or 1 where something logged could not be written."""
    parser = argparse.ArgumentParser(prog="lived demo", description="Train on handwritten digits, and log it all.")
    parser.add_argument("--dir", default="lived-demo", help="where to log (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=15, help="how often to go over the data (default: %(default)s)")
    options = parser.parse_args(argv)
    from rich.console import Console

    from lived import Live

    console = Console(highlight=False)
    console.print(f"Training a small network on 1,797 handwritten digits; logging into {options.dir}/", soft_wrap=True)
    start = time.perf_counter()
    with Live(options.dir) as live:
        watch = Stopwatch(live.log_metric)
        run(live, watch, options.epochs, options.dir, console)
        trained = time.perf_counter() - start
    finished = time.perf_counter() - start
    faults = list(live.faults)
    if live.dir != options.dir:
        console.print(f"The log is in {live.dir} on the daemon's machine.", soft_wrap=True, markup=False)
    for line in closing_lines(options.dir, watch, trained, finished):
        console.print(line, soft_wrap=True, markup=False)
    for fault in faults:
        console.print(f"not written: {fault}", style="red", soft_wrap=True, markup=False)
    return 1 if faults else 0


def run(live: Any, log_metric: Callable[[str, float], None], epochs: int, folder: str, console: Console) -> None:
    """Train for ``epochs``, logging to ``live``, its metrics through ``log_metric``; ``folder`` is its directory."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    digits = load_digits()
    model = make_model()
    live.log_params(parameters(digits, epochs))
    batches = -(-len(digits.train_y) // BATCH)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    best = {"accuracy": 0.0, "epoch": 0}
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("training", total=epochs * batches)
        for epoch in range(epochs):
            for last, metrics in train_epoch(model, digits, epoch):
                for name, value in metrics.items():
                    log_metric(name, value)
                if last:
                    accuracy = log_evaluation(live, log_metric, model, digits, epoch)
                    if accuracy > best["accuracy"]:
                        best = {"accuracy": accuracy, "epoch": epoch}
                    progress.update(task, description=f"epoch {epoch + 1}: {accuracy:.1%} right")
                live.next_step()
                progress.advance(task)
    live.summary["best"] = best
    log_curves(live, model, digits)
    log_model(live, model, folder)


def load_digits() -> Digits:
    """The digits, shuffled, a fifth of them kept for evaluation; the same at every call."""
    from sklearn.datasets import load_digits as load
    from sklearn.model_selection import train_test_split

    pixels, labels = load(return_X_y=True)
    parts = train_test_split(pixels / 16.0, labels, test_size=0.2, random_state=SEED, stratify=labels)
    train_x, eval_x, train_y, eval_y = parts
    return Digits(train_x, train_y, eval_x, eval_y)


def make_model() -> Any:
    """An untrained network with one hidden layer."""
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier((HIDDEN,), learning_rate_init=LEARNING_RATE, random_state=SEED)


def parameters(digits: Digits, epochs: int) -> dict[str, Any]:
    """What is logged to ``params.yaml``."""
    return {
        "epochs": epochs,
        "batch_size": BATCH,
        "model": {"kind": "MLPClassifier", "hidden": [HIDDEN], "learning_rate": LEARNING_RATE},
        "data": {"name": "digits", "train": len(digits.train_y), "eval": len(digits.eval_y)},
        "seed": SEED,
    }


def train_epoch(model: Any, digits: Digits, epoch: int) -> Iterator[tuple[bool, dict[str, float]]]:
    """Train on each batch once; for each, whether it is the last, and its metrics."""
    import numpy as np

    order = np.random.default_rng(SEED + epoch).permutation(len(digits.train_y))
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        pixels, labels = digits.train_x[chosen], digits.train_y[chosen]
        model.partial_fit(pixels, labels, classes=range(10))
        accuracy = float((model.predict(pixels) == labels).mean())
        yield start + BATCH >= len(order), {"train/loss": float(model.loss_), "train/accuracy": accuracy}


def log_evaluation(
    live: Any, log_metric: Callable[[str, float], None], model: Any, digits: Digits, epoch: int
) -> float:
    """Log how ``model`` does on the digits it has not seen, and a picture of those it gets wrong; the accuracy."""
    from sklearn.metrics import log_loss

    probabilities = model.predict_proba(digits.eval_x)
    guesses = probabilities.argmax(axis=1)
    wrong = guesses != digits.eval_y
    accuracy = float(1 - wrong.mean())
    log_metric("eval/loss", float(log_loss(digits.eval_y, probabilities, labels=range(10))))
    log_metric("eval/accuracy", accuracy)
    live.log_image(f"mistakes/{epoch}.png", mistakes_grid(digits.eval_x[wrong], probabilities[wrong].max(axis=1)))
    return accuracy


def mistakes_grid(pixels: Array, confidence: Array) -> Array:
    """A picture ``(height, width, 3)`` of uint8 of the digits ``(n, 64)``, those wrong with most confidence first.

    The redder a digit, the surer (``confidence``, 0 to 1) the wrong guess was; places without a mistake are grey.
    """
    import numpy as np

    side = 8 * SCALE + 2
    picture = np.full((GRID_ROWS * side, GRID_COLUMNS * side, 3), 64, np.uint8)
    for place, index in enumerate(np.argsort(-confidence)[: GRID_ROWS * GRID_COLUMNS]):
        large = np.kron(pixels[index].reshape(8, 8), np.ones((SCALE, SCALE)))
        colour = np.array([1.0, 1.0 - confidence[index], 1.0 - confidence[index]])
        row, column = divmod(place, GRID_COLUMNS)
        top, left = row * side + 1, column * side + 1
        picture[top : top + 8 * SCALE, left : left + 8 * SCALE] = (255 * large[..., None] * colour).astype(np.uint8)
    return picture


def log_curves(live: Any, model: Any, digits: Digits) -> None:
    """Log the confusion matrix of all digits, and the curves of telling one of them from the others."""
    probabilities = model.predict_proba(digits.eval_x)
    live.log_sklearn_plot("confusion_matrix", digits.eval_y, probabilities.argmax(axis=1))
    is_digit = (digits.eval_y == DIGIT).astype(int)
    for kind in ("calibration", "det", "precision_recall", "roc"):
        live.log_sklearn_plot(kind, is_digit, probabilities[:, DIGIT], title=f"{kind}: {DIGIT} or not")


def log_model(live: Any, model: Any, folder: str) -> None:
    """Save ``model`` beside the log and name it as an artifact; DVC caches it where there is a repository already.

    Without one, nothing is made: a demonstration should not turn somebody's folder into a repository.
    """
    import joblib

    from lived.repository import find_dvc_root

    os.makedirs(folder, exist_ok=True)  # where the log goes to another machine, nobody has made it
    path = os.path.join(folder, "model.joblib")
    joblib.dump(model, path)
    if find_dvc_root(os.getcwd()) is not None:
        live.log_artifact(path, type="model", name="digits", desc="a network that reads handwritten digits")


def closing_lines(folder: str, watch: Stopwatch, trained: float, finished: float) -> list[str]:
    """What is said at the end: what is where, what logging cost (times in seconds), and how to look at it."""
    lines = ["", f"{folder}/"]
    lines += [
        f"  {name:<28}{count:>4} {'file' if count == 1 else 'files'}{size:>10}" for name, count, size in tree(folder)
    ]
    calls = len(watch.nanoseconds)
    lines += [
        "",
        f"Trained in {trained:.1f} s; the rest of the log was written {finished - trained:.1f} s later.",
        f"{calls:,} calls of log_metric, {watch.microseconds():.1f} microseconds each (median).",
        "",
        "Look at it:",
    ]
    reports = [name for name in ("report.html", "report.md") if os.path.exists(os.path.join(folder, name))]
    lines += [f"  open {os.path.join(folder, name)} in a browser" for name in reports[:1]]
    lines += [f"  dvc plots show {os.path.join(folder, 'dvc.yaml')}", "  lived status"]
    if not os.path.exists(os.path.join(folder, "model.joblib.dvc")):
        lines += [
            "",
            f"The model is in {os.path.join(folder, 'model.joblib')}. In a DVC repository (`git init && dvc init`)",
            "log_artifact puts it into DVC's cache as well; there is none here, so that step was left out.",
        ]
    return lines


def tree(folder: str) -> list[tuple[str, int, str]]:
    """Each file at the top of ``folder``, and each folder below that holds files: path, how many, their size."""
    rows: list[tuple[str, int, str]] = []
    for current, folders, names in os.walk(folder):
        folders.sort()
        here = os.path.relpath(current, folder)
        sizes = {name: os.path.getsize(os.path.join(current, name)) for name in sorted(names)}
        if here == ".":
            rows += [(name, 1, human_size(size)) for name, size in sizes.items()]
        elif sizes:
            rows.append((here + "/", len(sizes), human_size(sum(sizes.values()))))
    return rows


def human_size(size: int) -> str:
    """``size`` bytes, in kB from a thousand on."""
    return f"{size} B" if size < 1000 else f"{size / 1000:,.1f} kB"


if __name__ == "__main__":
    sys.exit(main())
