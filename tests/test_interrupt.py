"""Ctrl-C in a long call raises KeyboardInterrupt before the call's end, and the layer works on."""

import os
import signal
import subprocess
import sys
import time

import pytest

PROGRAM = """
import signal, sys, time
import numpy as np
import rnncore as rc

# Python's own handler, also where a shell started the tests with SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
rc.set_num_threads({threads})
lstm = rc.LSTM(50, 1024, rng=0)
small = np.ones((3, 2, 50), np.float32)
before = lstm(small)[0]
{prepare}

def seconds(steps):
    start = time.perf_counter()
    try:
        call(steps)
    except KeyboardInterrupt:
        np.testing.assert_array_equal(lstm(small)[0], before)
        print("interrupted", flush=True)
    return time.perf_counter() - start

seconds({steps} // 100)
whole = 100 * seconds({steps} // 100)
print("ready", flush=True)
spent = seconds({steps})
# Python raises what it was sent at the latest when the call returns: only an early end shows that
# the call itself was interrupted.
print("early" if spent < whole / 2 else f"after {{spent}} of about {{whole}} s", flush=True)
"""

# What is prepared, the call, and how many steps take several seconds.
CALLS = {
    "inference": ("def call(steps): lstm(np.zeros((steps, 1), int))", 20_000),
    "forward": ("def call(steps): lstm.forward(np.zeros((steps, 1), int))", 10_000),
    "backward": (
        "def call(steps):\n"
        "    lstm.backward(None, caches[steps], (np.ones((1, 1, 1024), np.float32),) * 2)\n"
        "caches = {n: lstm.forward(np.zeros((n, 1), int))[2] for n in (50, 5000)}",
        5_000,
    ),
    "sampling": (
        "model = rc.LanguageModel(50, hidden_size=1024, num_layers=1, rng=0)\n"
        "def call(steps): model.sample(np.array([1]), steps)",
        20_000,
    ),
}


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", CALLS)
def test_interrupt(name: str, threads: int) -> None:
    prepare, steps = CALLS[name]
    program = PROGRAM.format(threads=threads, prepare=prepare, steps=steps)
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n", child.communicate(timeout=60)[1]
        time.sleep(0.2)  # into the call
        os.kill(child.pid, signal.SIGINT)
        # Generous: a hang is to end here; how fast an interrupt acts is not a test's matter.
        out, err = child.communicate(timeout=120)
    finally:
        child.kill()
        child.wait()
    assert (out, child.returncode) == ("interrupted\nearly\n", 0), err
