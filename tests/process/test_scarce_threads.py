"""Calls where the system refuses threads or address space; OpenMP itself would end the process."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, resource, sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import rnncore as rc

layer = rc.LSTM(64, 256, rng=0)
x = np.ones((100, 40, 64), np.float32)
rc.set_num_threads(1)
expected = layer(x)[0].tobytes()
{limit}

def call(threads):
    rc.set_num_threads(threads)
    try:
        assert layer(x)[0].tobytes() == expected
    except MemoryError:
        return "refused"
    return "computed"

def calls():
    # OpenMP starts threads for the first region, for a larger one, and again after a smaller one
    return [call(threads) for threads in (2, {threads}, 3, {threads})]

answers = calls()
try:
    with ThreadPoolExecutor(3) as pool:  # and for each thread that calls
        answers += [pool.submit(call, {threads}).result() for _ in range(6)]
except RuntimeError as error:  # Python's own
    assert "start new thread" in str(error)
answers += calls()
print(*sorted(set(answers)))
"""

ADDRESS_SPACE = """
with open("/proc/self/statm") as file:
    taken = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + ({megabytes} << 20), resource.RLIM_INFINITY))
"""

PROCESSES = """
if os.getuid() == 0:
    os.setuid(65534)  # root has no limit
resource.setrlimit(resource.RLIMIT_NPROC, ({count}, {count}))
"""


def run(limit: str, threads: int) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(limit=limit, threads=threads)
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # NumPy starts its own
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="other systems ignore RLIMIT_AS")
@pytest.mark.parametrize("megabytes", [1, 6, 12, 30, 70, 140, 300, 600])
def test_little_address_space(megabytes: int) -> None:
    done = run(ADDRESS_SPACE.format(megabytes=megabytes), threads=40)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) <= {"computed", "refused"}


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads as Linux does")
@pytest.mark.parametrize("count", [1, 4, 20])
def test_few_threads(count: int) -> None:
    """Without a thread to start, the caller computes alone."""
    done = run(PROCESSES.format(count=count), threads=40)
    assert (done.returncode, done.stdout) == (0, "computed\n"), done.stderr
