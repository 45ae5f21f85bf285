"""Memory is checked before it is taken: systems that overcommit would kill the process later."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_MEMBERSHIPS = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")
_SMALL = 1 << 20  # asking takes about half a millisecond: not worth it for less than a mebibyte


def require(nbytes: int, purpose: str) -> None:
    """Raise MemoryError if `nbytes` for `purpose` exceed what this process may still take."""
    if nbytes < _SMALL:
        return
    free = available()
    if nbytes > free:
        raise MemoryError(
            f"{purpose} need {nbytes / 2**30:.3g} GiB; {free / 2**30:.3g} GiB are available"
        )


def available() -> int:
    """Return the bytes that this process may still take: the machine's and its control group's."""
    return min([_machine(), *_control_groups()])


def _machine() -> int:
    try:
        lines = _MEMINFO.read_text().splitlines()
        fields = {name: value for name, _, value in (line.partition(":") for line in lines)}
        return sum(int(fields[name].split()[0]) << 10 for name in ("MemAvailable", "SwapFree"))
    except (OSError, KeyError):  # not Linux: the memory installed is the best that is known
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _control_groups() -> Iterator[int]:
    """Yield limit - usage of every control group (version 1 or 2) that holds this process."""
    try:
        memberships = _MEMBERSHIPS.read_text().splitlines()
    except OSError:
        return
    for membership in memberships:
        _, controllers, path = membership.split(":", 2)
        if controllers == "":
            root, limit, usage, cached = _CGROUPS, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            root, limit, usage = (
                _CGROUPS / "memory",
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
            )
            cached = "total_inactive_file"
        else:
            continue
        inner = root / path.lstrip("/")
        # in a container the path may be the host's and not exist here: the root is then the group
        for group in {root, *(g for g in (inner, *inner.parents) if g.is_relative_to(root))}:
            free = _group_free(group / limit, group / usage, group / "memory.stat", cached)
            if free is not None:
                yield free


def _group_free(limit: Path, usage: Path, stat: Path, cached: str) -> int | None:
    """Return limit - usage + cache that the kernel drops first; None where nothing limits."""
    try:
        allowed = int(limit.read_text())  # "max" is no number: no limit
        used = int(usage.read_text())
        counts = dict(line.split() for line in stat.read_text().splitlines())
    except (OSError, ValueError):
        return None
    return max(0, allowed - used + int(counts.get(cached, 0)))
