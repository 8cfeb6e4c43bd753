"""What can be measured of this machine: CPU, memory, disks and NVIDIA GPUs, each as a source of samples.

The names and formulas are DVCLive's, so that runs of both can be compared. psutil and pynvml are imported when the
sources are made, never with this module.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

logger = logging.getLogger("lived")

#: Metric name to value.
Sample = dict[str, float]
#: Takes one sample of some metrics; may raise.
Source = Callable[[], Sample]

#: A core counts as active from this load on, in percent.
ACTIVE_PERCENT = 20
_GB = 1024.0**3


def machine_sources(directories: Mapping[str, str]) -> dict[str, Source]:
    """The sources of this machine. Imports psutil and pynvml, which takes a while: call it off the training thread."""
    found: dict[str, Source] = {}
    try:
        import pynvml
    except ImportError:
        logger.debug("pynvml is not installed: GPUs are not monitored")
    else:
        try:
            gpus = open_gpus(pynvml)
        except pynvml.NVMLError as exc:
            logger.warning("System monitoring: the NVIDIA driver cannot be used, GPUs are left out: %s", exc)
        else:
            found |= {"GPUs": gpus} if gpus else {}
    try:
        import psutil
    except ImportError:
        logger.warning("psutil is not installed: CPU, memory and disks are not monitored (`pip install psutil`)")
        return found
    psutil.cpu_percent(percpu=True)  # the first call has nothing to compare with and returns zeros
    found["CPU"] = lambda: cpu_sample(psutil.cpu_count() or 1, psutil.cpu_percent(percpu=True))
    found["memory"] = lambda: memory_sample(psutil.virtual_memory())
    for name, path in directories.items():
        found[f"the disk of {path!r}"] = partial(_sample_disk, name, path, psutil.disk_usage)
    return found


def cpu_sample(count: int, percents: list[float]) -> Sample:
    """``percents`` is the load of each of the ``count`` logical cores."""
    active = sum(percent >= ACTIVE_PERCENT for percent in percents)
    return {
        "system/cpu/count": count,
        "system/cpu/usage (%)": sum(percents) / len(percents),
        "system/cpu/parallelization (%)": active * 100 / count,
    }


def memory_sample(memory: Any) -> Sample:
    """``memory`` has ``percent`` and, in bytes, ``used`` and ``total``."""
    return {
        "system/ram/usage (%)": memory.percent,
        "system/ram/usage (GB)": memory.used / _GB,
        "system/ram/total (GB)": memory.total / _GB,
    }


def disk_sample(name: str, disk: Any) -> Sample:
    """``disk`` has ``percent`` and, in bytes, ``used`` and ``total``; ``name`` is its key in the directories."""
    return {
        disk_metric("usage (%)", name): disk.percent,
        disk_metric("usage (GB)", name): disk.used / _GB,
        disk_metric("total (GB)", name): disk.total / _GB,
    }


def _sample_disk(name: str, path: str, usage: Callable[[str], Any]) -> Sample:
    return disk_sample(name, usage(path))


def disk_metric(what: str, name: str) -> str:
    """The name of a metric of the disk whose key in the directories is ``name``."""
    return f"system/disk/{what}/{name}".rstrip("/")  # the name "/" stands for no suffix


def open_gpus(nvml: Any) -> GpuSource | None:
    """The source of this machine's NVIDIA GPUs, or None where there is no driver. ``nvml`` is the module pynvml.

    Raises:
        nvml.NVMLError: there is a driver, and it cannot be used.
    """
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as exc:
        if getattr(exc, "value", None) in (nvml.NVML_ERROR_LIBRARY_NOT_FOUND, nvml.NVML_ERROR_DRIVER_NOT_LOADED):
            logger.debug("no NVIDIA driver: GPUs are not monitored (%s)", exc)
            return None
        raise
    return GpuSource(nvml)


class GpuSource:
    """Samples all GPUs. NVML stays initialised until :meth:`close`, which the sampling thread calls."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml

    def __call__(self) -> Sample:
        """One sample. Raises NVMLError."""
        nvml = self._nvml
        count = nvml.nvmlDeviceGetCount()
        sample: Sample = {"system/gpu/count": count}
        for index in range(count):
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
            use = nvml.nvmlDeviceGetUtilizationRates(handle)
            # DVCLive's definition: the share of its busy time that the GPU spent on its memory.
            sample[f"system/gpu/usage (%)/{index}"] = 100 * use.memory / use.gpu if use.gpu else 0
            sample[f"system/vram/usage (%)/{index}"] = 100 * memory.used / memory.total
            sample[f"system/vram/usage (GB)/{index}"] = memory.used / _GB
            sample[f"system/vram/total (GB)/{index}"] = memory.total / _GB
        return sample

    def close(self) -> None:
        """Release NVML."""
        self._nvml.nvmlShutdown()
