"""Every documented error is raised by the very call that is wrong, and costs the run nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lived
import numpy as np
import pytest
from lived import error
from trainers import rows, summary

PIXELS = np.zeros((4, 4, 3), np.uint8)
POINTS = [{"x": 1, "y": 2}]
LABELS, SCORES = [0, 1, 1, 0], [0.1, 0.9, 0.8, 0.3]

#: Names that no output may have, with a part of the reason.
BAD_NAMES = {
    "": "empty",
    "/etc/loss": "absolute",
    "..": r"'\.\.'",
    "../loss": r"'\.\.'",
    "a/../b": r"'\.\.'",
    "a/./b": r"'\.'",
    "a//b": "empty component",
    "a/": "empty component",
    "a\0b": "NUL",
    "é" * 126 + "/b/" + "c" * 252: "component of",
    "a/" * 511 + "abc": "more than 1024",
    "\ud800": "Unicode",
}

LOGGING: dict[str, Callable[[lived.Live, Any], None]] = {
    "metric": lambda live, name: live.log_metric(name, 1.0),
    "metric-unplotted": lambda live, name: live.log_metric(name, 1, plot=False),
    "image": lambda live, name: live.log_image(f"{name}.png" if not name.endswith(("/", "..")) else name, PIXELS),
    "plot": lambda live, name: live.log_plot(name, POINTS, x="x", y="y"),
    "curve": lambda live, name: live.log_sklearn_plot("roc", LABELS, SCORES, name=name),
}

BAD_CALLS: list[tuple[str, type[Exception], Callable[[lived.Live], None]]] = [
    ("metric of None", error.InvalidDataTypeError, lambda live: live.log_metric("m", None)),
    ("metric of a list", error.InvalidDataTypeError, lambda live: live.log_metric("m", [1.0])),
    ("metric of a dict", error.InvalidDataTypeError, lambda live: live.log_metric("m", {"a": 1})),
    ("metric of an array", error.InvalidDataTypeError, lambda live: live.log_metric("m", np.zeros(3))),
    ("metric of a complex number", error.InvalidDataTypeError, lambda live: live.log_metric("m", 1j)),
    ("metric whose name is no str", error.InvalidNameError, lambda live: live.log_metric(5, 1.0)),  # type: ignore[arg-type]
    ("image of a str that is no file", FileNotFoundError, lambda live: live.log_image("a.png", "missing.png")),
    ("image of a missing path", FileNotFoundError, lambda live: live.log_image("a.png", Path("missing.png"))),
    ("image of a list", error.InvalidDataTypeError, lambda live: live.log_image("a.png", [[0, 1], [1, 0]])),
    ("image of None", error.InvalidDataTypeError, lambda live: live.log_image("a.png", None)),
    ("image of floats", error.InvalidDataTypeError, lambda live: live.log_image("a.png", PIXELS / 255)),
    (
        "image with channels first",
        error.InvalidDataTypeError,
        lambda live: live.log_image("a.png", np.zeros((3, 9, 9))),
    ),
    ("image with four axes", error.InvalidDataTypeError, lambda live: live.log_image("a.png", PIXELS[None])),
    ("image without a suffix", error.InvalidImageNameError, lambda live: live.log_image("a", PIXELS)),
    ("image of another format", error.InvalidImageNameError, lambda live: live.log_image("a.bmp", PIXELS)),
    ("plot of a str", error.InvalidDataTypeError, lambda live: live.log_plot("p", "text", x="x", y="y")),
    ("plot of lists", error.InvalidDataTypeError, lambda live: live.log_plot("p", [[1, 2]], x="x", y="y")),
    ("plot of an object", error.InvalidDataTypeError, lambda live: live.log_plot("p", [{"x": object()}], "x", "x")),
    ("plot with another argument", TypeError, lambda live: live.log_plot("p", POINTS, x="x", y="y", colour="red")),
    ("older form, no such kind", error.InvalidPlotTypeError, lambda live: live.log_plot("rock", LABELS, SCORES)),
    ("curve of no kind", error.InvalidPlotTypeError, lambda live: live.log_sklearn_plot("rock", LABELS, SCORES)),
    ("curve, lengths", error.InvalidDataLengthError, lambda live: live.log_sklearn_plot("roc", LABELS, SCORES[1:])),
    ("curve, lengths, as ValueError", ValueError, lambda live: live.log_sklearn_plot("roc", [], SCORES)),
    ("curve of a number", error.InvalidDataTypeError, lambda live: live.log_sklearn_plot("roc", 1, SCORES)),
    ("curve of objects", error.InvalidDataTypeError, lambda live: live.log_sklearn_plot("roc", [object()] * 4, SCORES)),
    ("curve, normalized", TypeError, lambda live: live.log_sklearn_plot("roc", LABELS, SCORES, normalized=True)),
    ("parameter of an object", error.InvalidParameterTypeError, lambda live: live.log_param("p", object())),
    ("parameter, nested", error.InvalidParameterTypeError, lambda live: live.log_params({"a": {"b": [np.zeros(2)]}})),
    ("parameters of a list", error.InvalidParameterTypeError, lambda live: live.log_params([1, 2])),  # type: ignore[arg-type]
    ("artifact that is no path", error.InvalidDataTypeError, lambda live: live.log_artifact(5)),  # type: ignore[arg-type]
    ("cache of no path", error.InvalidDataTypeError, lambda live: live.cache(None)),  # type: ignore[arg-type]
    ("step of a str", error.InvalidDataTypeError, lambda live: live.set_step("1")),  # type: ignore[arg-type]
    ("step of a float", error.InvalidDataTypeError, lambda live: live.set_step(1.5)),  # type: ignore[arg-type]
    ("step of a bool", error.InvalidDataTypeError, lambda live: live.set_step(True)),
    ("step beyond 64 bits", error.InvalidDataTypeError, lambda live: live.set_step(2**63)),
    ("directory to monitor", ValueError, lambda live: live.monitor_system(directories_to_monitor={"../a": "/"})),
]


@pytest.fixture(params=["", "1"], ids=["async", "sync"])
def live(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared_home: Path
) -> Iterator[lived.Live]:
    """A run whose one good metric is in the tree at the end, and which has no fault, whatever the test did."""
    monkeypatch.setenv("LIVED_HOME", str(shared_home))
    monkeypatch.setenv("LIVED_SYNC", request.param)
    monkeypatch.chdir(tmp_path)
    opened = lived.Live("run", report=None)
    yield opened
    opened.step = 0
    opened.log_metric("good", 1.0)
    opened.end()
    assert opened.faults == []
    assert rows(tmp_path / "run", "good") == ["0\t1.0"]


def test_each_wrong_call_raises_what_is_documented(live: lived.Live, tmp_path: Path) -> None:
    """The error has the documented class, says something, and nothing of the call reaches the tree."""
    for what, kind, call in BAD_CALLS:
        with pytest.raises(kind) as raised:
            call(live)
        assert len(str(raised.value)) > 10 or kind is FileNotFoundError, what
        if kind not in (TypeError, ValueError, FileNotFoundError):
            assert isinstance(raised.value, error.DvcLiveError), what
    live.flush()
    assert [path for path in (tmp_path / "run").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("kind", LOGGING)
def test_a_name_that_could_leave_the_directory_is_refused(kind: str, live: lived.Live, tmp_path: Path) -> None:
    """Absolute, empty, ``.`` and ``..``, NUL, too long, no Unicode: each is refused, with the reason."""
    for name, reason in BAD_NAMES.items():
        if kind in ("curve", "image") and not name:
            continue  # a curve without a name is called after its kind; an image's name has its suffix
        shown = pytest.raises(error.DvcLiveError, match=reason if kind != "image" else None)
        with shown as raised:
            LOGGING[kind](live, name)
        assert isinstance(raised.value, (error.InvalidNameError, error.InvalidImageNameError)), (name, raised.value)
    live.flush()
    assert [path for path in (tmp_path / "run").rglob("*") if path.is_file()] == []
    assert [path.name for path in tmp_path.iterdir() if path.name != "lived-home"] == ["run"]


def test_a_metric_cannot_be_a_folder_of_another(live: lived.Live, tmp_path: Path) -> None:
    """``a`` and ``a/b`` cannot both stand in the summary: the second is refused, whichever it is, and names both."""
    live.log_metric("a", 1.0)
    with pytest.raises(error.InvalidNameError, match=r"'a/b'.*'a'"):
        live.log_metric("a/b", 1.0)
    live.log_metric("c/d/e", 1)
    for name in ("c", "c/d"):
        with pytest.raises(error.InvalidNameError, match="c/d/e"):
            live.log_metric(name, 1)
    live.next_step()
    live.flush()
    assert summary(tmp_path / "run") == {"a": 1.0, "c": {"d": {"e": 1}}, "step": 0}


def test_a_refused_image_does_not_use_up_its_step(live: lived.Live, tmp_path: Path) -> None:
    """After an image, plot or curve was refused, the corrected call in the same step is taken."""
    with pytest.raises(error.InvalidDataTypeError):
        live.log_image("a.png", PIXELS / 255)
    live.log_image("a.png", PIXELS)
    with pytest.raises(error.InvalidDataTypeError):
        live.log_plot("p", "text", x="x", y="y")
    live.log_plot("p", POINTS, x="x", y="y")
    with pytest.raises(error.InvalidDataLengthError):
        live.log_sklearn_plot("roc", LABELS, SCORES[1:])
    live.log_sklearn_plot("roc", LABELS, SCORES)
    live.flush()
    for name in ("images/a.png", "custom/p.json", "sklearn/roc.json"):
        assert (tmp_path / "run" / "plots" / name).exists()


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"report": "pdf"}, error.InvalidReportModeError),
        ({"report": True}, error.InvalidReportModeError),
        ({"dvcyaml": "other.yaml"}, error.InvalidDvcyamlError),
        ({"dvcyaml": "dvc.yaml/"}, error.InvalidDvcyamlError),
        ({"dvcyaml": Path("a/dvc.yml")}, error.InvalidDvcyamlError),
        ({"overflow": "wait"}, error.DvcLiveError),
        ({"overflow": True}, error.DvcLiveError),
        ({"overflow": "block", "overflow_wait": -1}, error.DvcLiveError),
        ({"overflow_wait": "long"}, error.DvcLiveError),
    ],
    ids=str,
)
def test_a_wrong_argument_of_live_is_refused_and_clears_nothing(
    options: dict[str, Any], kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_home: Path
) -> None:
    """The constructor raises before it touches the directory: what an earlier run wrote is still there."""
    monkeypatch.setenv("LIVED_HOME", str(shared_home))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.json").write_text("{}")
    with pytest.raises(kind):
        lived.Live(tmp_path / "run", **options)
    assert (tmp_path / "run" / "metrics.json").read_text() == "{}"


@pytest.mark.parametrize(
    "variable",
    [
        "LIVED_SYNC",
        "DVCLIVE_RESUME",
        "LIVED_JOURNAL_LIMIT",
        "LIVED_OVERFLOW",
        "LIVED_OVERFLOW_WAIT",
        "LIVED_ENDPOINT",
    ],
)
def test_a_variable_that_cannot_be_understood_is_named(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_home: Path
) -> None:
    """A typing mistake in the environment is an error that names the variable, not a silent default."""
    monkeypatch.setenv("LIVED_HOME", str(shared_home))
    monkeypatch.setenv(variable, "perhaps")
    with pytest.raises(error.DvcLiveError, match=f"{variable}='perhaps'"):
        lived.Live(tmp_path / "run")


def test_a_directory_below_a_file_is_refused(tmp_path: Path) -> None:
    """At the call, with the file that is in the way."""
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="cannot be made below a file") as caught:
        lived.Live(tmp_path / "file" / "below" / "run")
    assert caught.value.filename == str(tmp_path / "file")


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_a_run_id_that_is_a_path_is_refused(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It becomes a part of a folder's name where two runs want one directory."""
    if how == "variable":
        monkeypatch.setenv("LIVED_RUN_ID", "exp/1")
    with pytest.raises(error.InvalidNameError, match=r"run id 'exp/1' has a slash.*LIVED_RUN_ID or run_id="):
        lived.Live(tmp_path / "run", run_id="exp/1" if how == "argument" else None)
    assert not (tmp_path / "run").exists()
