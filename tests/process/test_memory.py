"""How much the process may still take: of the machine, and of every control group around it."""

import json
import math
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import rnncore as rc
from rnncore import _core, _memory

GIB = 1 << 30


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A machine with 8 GiB available, of which 1 GiB swap, and no control groups."""
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text(
        f"MemTotal: {9 << 20} kB\nMemAvailable: {7 << 20} kB\nSwapFree: {1 << 20} kB\n"
    )
    return tmp_path


def available(system: Path) -> int:
    return _core.available_memory(str(system / "proc"), str(system / "cgroup"))


def processors(system: Path) -> float:
    return _core.processor_quota(str(system / "proc"), str(system / "cgroup"))


def join(system: Path, memberships: str) -> None:
    (system / "proc" / "self" / "cgroup").write_text(memberships)


def write(directory: Path, controller: str = "memory", **files: object) -> None:
    """Files memory.max, memory.stat, ..., each given by the part after the dot."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / f"{controller}.{name}").write_text(str(content))


def test_machine(system: Path) -> None:
    assert available(system) == 8 * GIB
    assert processors(system) == math.inf


def test_installed_memory_where_nothing_else_is_known(system: Path) -> None:
    (system / "proc" / "meminfo").unlink()
    assert GIB / 16 < available(system) < 2**60


def test_version_2_groups_limit_from_the_inside_out(system: Path) -> None:
    join(system, "0::/user/job\n")
    root = system / "cgroup"
    write(root / "user" / "job", max="max", current=GIB, stat="")
    assert available(system) == 8 * GIB
    write(root / "user", max=4 * GIB, current=3 * GIB, stat="inactive_file 0")
    assert available(system) == GIB
    # the page cache is given back when it is needed
    write(root / "user", stat=f"anon 5\ninactive_file {2 * GIB}")
    assert available(system) == 3 * GIB
    write(root / "user" / "job", max=GIB, current=2 * GIB)
    assert available(system) == 0


def test_in_a_container_the_root_is_the_group(system: Path) -> None:
    join(system, "0::/docker/0123\n")
    write(system / "cgroup", max=2 * GIB, current=GIB, stat="")
    write(system / "cgroup", "cpu", max="150000 100000")
    assert available(system) == GIB
    assert processors(system) == 1.5


def test_version_1_groups(system: Path) -> None:
    join(system, "5:cpu,cpuacct:/a\n4:memory:/a/b\n0::/\n")
    write(
        system / "cgroup" / "memory" / "a" / "b",
        limit_in_bytes=3 * GIB,
        usage_in_bytes=2 * GIB,
        stat=f"inactive_file 7\ntotal_inactive_file {GIB // 2}",
    )
    write(
        system / "cgroup" / "memory",
        limit_in_bytes=2**63 - 4096,
        usage_in_bytes=5 * GIB,
        stat="",
    )
    write(system / "cgroup" / "cpu", "cpu", cfs_quota_us=-1, cfs_period_us=100_000)
    assert available(system) == GIB + GIB // 2
    assert processors(system) == math.inf
    write(system / "cgroup" / "cpu" / "a", "cpu", cfs_quota_us=300_000, cfs_period_us=100_000)
    assert processors(system) == 3


def test_version_2_groups_share_processors(system: Path) -> None:
    join(system, "0::/user/job\n")
    root = system / "cgroup"
    write(root / "user" / "job", "cpu", max="max 100000")
    assert processors(system) == math.inf
    write(root / "user", "cpu", max="250000 100000")
    assert processors(system) == 2.5
    write(root / "user" / "job", "cpu", max="50000 100000")
    assert processors(system) == 0.5


@pytest.mark.skipif(sys.platform != "linux", reason="other systems ignore RLIMIT_AS")
def test_address_space(system: Path) -> None:
    """What the process has taken of it is gone; the limit stays with a process of its own."""
    (system / "proc" / "self" / "statm").write_text("1000 1 1 1 0 1 0\n")
    script = f"""
        import resource
        from rnncore import _core
        resource.setrlimit(resource.RLIMIT_AS, (3 << 30, resource.RLIM_INFINITY))
        taken = (3 << 30) - _core.available_memory({str(system / "proc")!r}, "/nowhere")
        print(taken // resource.getpagesize())
    """
    run = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(run, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "1000\n"


def test_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_memory, "available", lambda: 8 * GIB)
    _memory.require(8 * GIB, "the weights")
    with pytest.raises(MemoryError, match=r"^the weights need 16 GiB; 8 GiB are available$"):
        _memory.require(16 * GIB, "the weights")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_of_a_training_step() -> None:
    """An Elman network keeps one number per unit and step: whatever else has T B H of them shows.

    1.2 is what is aimed at, see benchmarks/README.md; pages and allocators of other systems add a
    few percent. The gradient of the outputs held whole gives 1.5.
    """
    script = Path(__file__).parents[2] / "benchmarks" / "bench_memory.py"
    done = subprocess.run(
        [sys.executable, str(script), "rnncore", "rnn"], capture_output=True, text=True, check=True
    )
    measured = json.loads(done.stdout)
    held = 4 * (4 * measured["num_params"] + 100 * 64 * 2 * 512)
    assert measured["peak"] < 1.3 * held


@pytest.mark.skipif(sys.platform != "linux", reason="counts page faults")
@pytest.mark.parametrize("cell", [rc.RNN, rc.GRU, rc.LSTM])
def test_of_a_step_serves_the_next_one(cell: type[rc.RNN | rc.GRU | rc.LSTM]) -> None:
    """Also where padded and ragged batches take turns: no step asks the system for memory."""
    import resource  # not everywhere

    steps, batch, size = 64, 64, 256  # an array [T,B,H] is large enough to be mapped
    layer = cell(size, size, rng=0)
    x = np.zeros((steps, batch, size), np.float32)
    lengths = np.linspace(1, steps, batch).astype(np.int64)

    def pass_faults() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for given in (None, lengths):
            _, _, cache = layer.forward(x, lengths=given)
            layer.backward(x, cache)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    # Python's own are fewer; a block that is mapped again has more
    assert min(pass_faults() for _ in range(6)) < 3
