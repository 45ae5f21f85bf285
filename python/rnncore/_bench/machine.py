"""The machine, and what is installed on it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
from collections.abc import Iterable, Iterator
from pathlib import Path

import rnncore

__all__ = ["caches", "description", "processor", "processor_seconds", "threads", "version"]

#: Distributions that are measured or measured with.
_PEERS = {"PyTorch": "torch", "ONNX Runtime": "onnxruntime", "NumPy": "numpy"}


def processor() -> str:
    """Return the name of the processor's model."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def caches() -> str:
    """Return the sizes of the caches that one processor reads data from; empty where unknown."""
    sizes = []
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        with contextlib.suppress(OSError):
            level, kind, size = (
                (index / field).read_text().strip() for field in ("level", "type", "size")
            )
            if kind != "Instruction":
                sizes.append(f"L{level} {size}")
    return ", ".join(sizes)


def version(distribution: str) -> str | None:
    """Return the version of a distribution that is installed, or None."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def description() -> dict[str, str]:
    """Return processor, caches and versions, by name."""
    installed = {name: version(distribution) for name, distribution in _PEERS.items()}
    return {
        "processor": processor(),
        "caches": caches() or "unknown",
        "processors": str(len(os.sched_getaffinity(0)))
        if hasattr(os, "sched_getaffinity")
        else str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "rnncore": f"{rnncore.__version__}, {rnncore.isa()}",
        **{name: number or "not installed" for name, number in installed.items()},
    }


def processor_seconds(children: Iterable[int] = ()) -> tuple[float, float] | None:
    """Return the busy seconds of all processors and those of this program; None where unknown.

    Parameters
    ----------
    children : processes of this program that have not ended
        Those that have ended are known.
    """
    ticks = os.sysconf("SC_CLK_TCK")
    try:
        total = Path("/proc/stat").read_text("utf-8").split("\n", 1)[0].split()
        stats = [Path(f"/proc/{pid}/stat").read_text("utf-8") for pid in children]
    except OSError:
        return None
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, total[1:9])
    busy = (user + nice + system + irq + softirq + steal) / ticks
    # user and system time, counted from behind the name, which may hold anything
    own = sum(sum(map(int, stat.rpartition(")")[2].split()[11:13])) for stat in stats) / ticks
    return busy, own + sum(os.times()[:4])


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Let rnncore use `count` threads; a single one stays on one processor, where that can be."""
    before = rnncore.get_num_threads()
    rnncore.set_num_threads(count)
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if count == 1 and len(affinity) > 1:
        os.sched_setaffinity(0, {max(affinity)})
    try:
        yield
    finally:
        rnncore.set_num_threads(before)
        for thread in Path("/proc/self/task").glob("*") if affinity else ():
            # those that were started meanwhile have inherited the one processor
            with contextlib.suppress(OSError):
                os.sched_setaffinity(int(thread.name), affinity)
