"""System monitoring, with sources that are made up: nothing here depends on the machine but one look at it."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from lived import monitor, sensors

GB = 1024**3


class Log:
    """Stands in for ``Live.log_metric``."""

    def __init__(self, wanted: int = 1) -> None:
        self.calls: list[tuple[str, float, bool, bool]] = []
        self.enough = threading.Event()
        self._wanted = wanted

    def __call__(self, name: str, val: float, /, timestamp: bool = False, plot: bool = True) -> None:
        self.calls.append((name, val, timestamp, plot))
        if len(self.calls) >= self._wanted:
            self.enough.set()


class NVMLError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(f"NVML error {value}")
        self.value = value


class Nvml:
    """A fake pynvml with two GPUs."""

    NVMLError = NVMLError
    NVML_ERROR_LIBRARY_NOT_FOUND = 12
    NVML_ERROR_DRIVER_NOT_LOADED = 9

    def __init__(self, init_error: int | None = None) -> None:
        self.init_error = init_error
        self.open = False

    def nvmlInit(self) -> None:  # noqa: N802 - NVML's name
        if self.init_error is not None:
            raise NVMLError(self.init_error)
        self.open = True

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open = False

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(used=(handle + 1) * GB, total=4 * GB)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(gpu=50 * handle, memory=25)


@pytest.fixture
def fake_psutil(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """psutil with two cores and two disks, as imported in the thread."""

    def disk_usage(path: str) -> SimpleNamespace:
        if path == "/gone":
            raise FileNotFoundError(2, "No such file or directory", path)
        return SimpleNamespace(percent=50.0, used=2 * GB, total=4 * GB)

    fake = SimpleNamespace(
        cpu_count=lambda: 2,
        cpu_percent=lambda percpu: [10.0, 30.0],
        virtual_memory=lambda: SimpleNamespace(percent=25.0, used=1 * GB, total=4 * GB),
        disk_usage=disk_usage,
    )
    monkeypatch.setitem(sys.modules, "psutil", fake)
    return fake


def test_all_metrics_have_dvclives_names_values_and_flags(
    monkeypatch: pytest.MonkeyPatch, fake_psutil: SimpleNamespace
) -> None:
    """One window logs every metric of CPU, memory, disk and GPUs once; only those that vary get a plot."""
    nvml = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    expected = {
        "system/cpu/count": (2, False),
        "system/cpu/usage (%)": (20, True),
        "system/cpu/parallelization (%)": (50, True),
        "system/ram/usage (%)": (25, True),
        "system/ram/usage (GB)": (1, True),
        "system/ram/total (GB)": (4, False),
        "system/disk/usage (%)/main": (50, True),
        "system/disk/usage (GB)/main": (2, True),
        "system/disk/total (GB)/main": (4, False),
        "system/gpu/count": (2, False),
        "system/gpu/usage (%)/0": (0, True),
        "system/gpu/usage (%)/1": (50, True),
        "system/vram/usage (%)/0": (25, True),
        "system/vram/usage (%)/1": (50, True),
        "system/vram/usage (GB)/0": (1, True),
        "system/vram/usage (GB)/1": (2, True),
        "system/vram/total (GB)/0": (4, False),
        "system/vram/total (GB)/1": (4, False),
    }
    log = Log(wanted=len(expected))
    running = monitor.SystemMonitor(log, interval=0.01, num_samples=2)
    assert log.enough.wait(10)
    running.end()
    first = log.calls[: len(expected)]
    assert {name: (value, plot) for name, value, _, plot in first} == expected
    assert all(timestamp for _, _, timestamp, _ in first)
    assert not nvml.open, "NVML must be shut down when the monitor ends"


def test_an_interrupted_window_is_divided_by_the_samples_taken() -> None:
    """Ending in the middle of a window logs the mean of what was sampled, not a fraction of it."""
    taken = threading.Event()

    def source() -> sensors.Sample:
        taken.set()
        return {"load": 8.0}

    log = Log()
    running = monitor.SystemMonitor(log, interval=0.1, num_samples=30, sources=lambda _: {"fake": source})
    assert taken.wait(10)
    running.end()
    assert [call[:2] for call in log.calls] == [("load", 8.0)]


def test_a_metric_missing_from_some_samples_has_the_mean_of_the_others() -> None:
    """A mean is over the samples that have the metric."""
    assert monitor.means([{"a": 1, "b": 4}, {"a": 3}]) == {"a": 2, "b": 4}
    assert monitor.means([]) == {}


def test_a_run_shorter_than_a_sample_still_logs_once() -> None:
    """Ending at once gives one sample of everything, as short runs have in DVCLive."""
    log = Log()
    monitor.SystemMonitor(log, interval=0.1, sources=lambda _: {"fake": lambda: {"load": 1.0}}).end()
    assert log.calls == [("load", 1.0, True, True)]


def test_a_failing_source_is_said_once_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    """A source that raises at every sample costs one warning, and no other source's values."""

    def broken() -> sensors.Sample:
        raise RuntimeError("the sensor is on fire")

    log = Log(wanted=3)
    with caplog.at_level(logging.WARNING, "lived"):
        running = monitor.SystemMonitor(
            log, interval=0.001, num_samples=2, sources=lambda _: {"broken": broken, "fine": lambda: {"load": 5.0}}
        )
        assert log.enough.wait(10)
        running.end()
    assert [record.getMessage().count("on fire") for record in caplog.records] == [1]
    assert {call[:2] for call in log.calls} == {("load", 5.0)}


def test_a_log_metric_that_raises_does_not_end_the_monitor(caplog: pytest.LogCaptureFixture) -> None:
    """An error of the logger is said once for each metric, and never leaves the thread."""
    calls = 0
    enough = threading.Event()

    def log(name: str, val: float, /, timestamp: bool = False, plot: bool = True) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            enough.set()
        raise ValueError("closed")

    with caplog.at_level(logging.WARNING, "lived"):
        running = monitor.SystemMonitor(log, 0.001, 1, sources=lambda _: {"fake": lambda: {"load": 1.0}})
        assert enough.wait(10)
        running.end()
    assert len(caplog.records) == 1


def test_a_directory_that_is_not_there_is_left_out(
    monkeypatch: pytest.MonkeyPatch, fake_psutil: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    """A missing directory is named in one warning; the other directories are logged."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    log = Log(wanted=9)
    with caplog.at_level(logging.WARNING, "lived"):
        running = monitor.SystemMonitor(log, 0.001, 2, {"scratch": "/gone", "data": "/data"})
        assert log.enough.wait(10)
        running.end()
    assert sum("/gone" in record.getMessage() for record in caplog.records) == 1
    names = {call[0] for call in log.calls}
    assert "system/disk/usage (%)/data" in names
    assert not any("gpu" in name or "scratch" in name for name in names)


def test_without_a_driver_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """A machine without an NVIDIA driver is normal; one whose driver refuses is not."""
    with caplog.at_level(logging.WARNING, "lived"):
        assert sensors.open_gpus(Nvml(init_error=Nvml.NVML_ERROR_LIBRARY_NOT_FOUND)) is None
        assert sensors.open_gpus(Nvml(init_error=Nvml.NVML_ERROR_DRIVER_NOT_LOADED)) is None
    assert not caplog.records
    with pytest.raises(NVMLError):
        sensors.open_gpus(Nvml(init_error=4))


def test_a_driver_that_refuses_leaves_cpu_and_memory(
    monkeypatch: pytest.MonkeyPatch, fake_psutil: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    """An NVML error at the start is said, and everything but the GPUs is monitored."""
    monkeypatch.setitem(sys.modules, "pynvml", Nvml(init_error=4))
    with caplog.at_level(logging.WARNING, "lived"):
        found = sensors.machine_sources({"main": "/"})
    assert set(found) == {"CPU", "memory", "the disk of '/'"}
    assert "NVML error 4" in caplog.text


@pytest.mark.parametrize("name", ["a//b", "a/", "./a", "a/../b", "", "..", "../up", ".", "/abs"])
def test_bad_directory_names_are_refused(name: str) -> None:
    """A key that cannot end a metric's name raises ValueError before a thread is started."""
    with pytest.raises(ValueError, match="name"):
        monitor.SystemMonitor(Log(), directories_to_monitor={name: "/"})


@pytest.mark.parametrize(("name", "ending"), [("main", "/main"), ("a/b", "/a/b"), ("/", "")])
def test_good_directory_names_end_the_metrics_name(name: str, ending: str) -> None:
    """The key is the end of the name; the key "/" adds nothing."""
    assert monitor.check_directories({name: "/data"}) == {name: "/data"}
    assert f"system/disk/usage (%){ending}" in sensors.disk_sample(name, SimpleNamespace(percent=1, used=1, total=1))


@pytest.mark.parametrize(("given", "used"), [(0.05, 0.05), (0.1, 0.1), (5.0, 0.1), (0.0, 0.001), (float("nan"), 0.1)])
def test_intervals_are_moved_into_the_limits(given: float, used: float, caplog: pytest.LogCaptureFixture) -> None:
    """At most 0.1 seconds, as in DVCLive, and never a busy loop; a change is said."""
    assert monitor.clamp_interval(given) == used
    assert bool(caplog.records) == (given != used)


@pytest.mark.parametrize(("given", "used"), [(1, 1), (20, 20), (30, 30), (0, 1), (-4, 1), (1000, 30)])
def test_sample_counts_are_moved_into_the_limits(given: int, used: int, caplog: pytest.LogCaptureFixture) -> None:
    """1 to 30 samples, as in DVCLive; a change is said."""
    assert monitor.clamp_samples(given) == used
    assert bool(caplog.records) == (given != used)


def test_end_comes_back_from_a_source_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that never answers holds up `end` for the limit at most."""
    monkeypatch.setattr(monitor, "JOIN_SECONDS", 0.05)
    release, inside = threading.Event(), threading.Event()

    def hang() -> sensors.Sample:
        inside.set()
        release.wait(30)
        return {}

    running = monitor.SystemMonitor(Log(), 0.001, 1, sources=lambda _: {"hanging": hang})
    assert inside.wait(10)
    before = time.monotonic()
    running.end()
    assert time.monotonic() - before < 5
    release.set()
    running._thread.join(10)
    assert not running._thread.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_end_in_a_forked_child_returns_at_once() -> None:
    """The thread does not survive a fork, and its locks may have been held: `end` in the child touches neither."""
    running = monitor.SystemMonitor(Log(), 0.001, 1, sources=lambda _: {"fake": lambda: {"load": 1.0}})
    with running._stop._cond:  # as if the monitor's thread held the lock at the fork
        child = os.fork()
        if child == 0:
            running.end()
            os._exit(7)
    deadline = time.monotonic() + 10
    status = None
    while status is None and time.monotonic() < deadline:
        done, code = os.waitpid(child, os.WNOHANG)
        status = code if done else None
        time.sleep(0.005)
    if status is None:
        os.kill(child, 9)
        os.waitpid(child, 0)
    running.end()
    assert status is not None
    assert os.waitstatus_to_exitcode(status) == 7


def test_this_machine_has_a_cpu_memory_and_a_disk() -> None:
    """The real psutil has what the samples need."""
    found = sensors.machine_sources({"main": "/"})
    sample = found["CPU"]() | found["memory"]() | found["the disk of '/'"]()
    assert sample["system/cpu/count"] >= 1
    assert 0 < sample["system/ram/usage (GB)"] < sample["system/ram/total (GB)"]
    assert sample["system/disk/total (GB)/main"] > 0
