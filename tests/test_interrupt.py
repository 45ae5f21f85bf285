"""Ctrl-C in a long call raises KeyboardInterrupt, and the layer works on."""

import os
import signal
import subprocess
import sys
import time

import pytest

PROGRAM = """
import sys
import numpy as np
import rnncore as rc

rc.set_num_threads({threads})
lstm = rc.LSTM(50, 512, rng=0)
small = np.ones((3, 2, 50), np.float32)
before = lstm(small)[0]
{prepare}
print("ready", flush=True)
try:
    {call}
except KeyboardInterrupt:
    np.testing.assert_array_equal(lstm(small)[0], before)
    print("interrupted", flush=True)
else:
    print("finished", flush=True)
"""

# Each call would last from several seconds to minutes: the signal comes long before its end.
IDS = "ids = np.zeros(({steps}, 1), np.int64)"
CALLS = {
    "inference": (IDS.format(steps=200_000), "lstm(ids)"),
    "forward": (IDS.format(steps=100_000), "lstm.forward(ids)"),
    "backward": (
        IDS.format(steps=20_000)
        + "\ny, _, cache = lstm.forward(ids)\ndy = np.ones(y.shape, np.float32)",
        "for _ in range(100): lstm.backward(dy, cache)",
    ),
    "sampling": (
        "model = rc.LanguageModel(50, hidden_size=512, num_layers=1, rng=0)",
        "model.sample(np.array([1]), 10_000_000)",
    ),
}


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", CALLS)
def test_interrupt(name: str, threads: int) -> None:
    prepare, call = CALLS[name]
    program = PROGRAM.format(threads=threads, prepare=prepare, call=call)
    # Python's default handler, also where the tests run in the background and SIGINT is ignored.
    program = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)" + program
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n", child.communicate(timeout=60)[1]
        time.sleep(0.3)  # into the call
        os.kill(child.pid, signal.SIGINT)
        # Generous: how fast it is, a benchmark may say; that it stops at all is what counts here.
        out, err = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait()
    assert (out, child.returncode) == ("interrupted\n", 0), err
