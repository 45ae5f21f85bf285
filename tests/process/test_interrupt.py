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

def seconds():
    start = time.perf_counter()
    try:
        call()
    except KeyboardInterrupt:
        np.testing.assert_array_equal(lstm(small)[0], before)
        print("interrupted", flush=True)
    return time.perf_counter() - start

whole = seconds()
print("ready", flush=True)
spent = seconds()
# Python raises what it was sent at the latest when the call returns: only an early end shows that
# the call itself was interrupted.
print("early" if spent < whole / 2 else f"after {{spent:.2f}} of {{whole:.2f}} s", flush=True)
"""

# The call with what it needs, of a length that takes a second or two.
CALLS = {
    "inference": "def call(): lstm(np.zeros((8000, 1), int))",
    "forward": "def call(): lstm.forward(np.zeros((7000, 1), int))",
    "backward": """
cache = lstm.forward(np.zeros((7000, 1), int))[2]
def call(): lstm.backward(None, cache, (np.ones((1, 1, 1024), np.float32),) * 2)
""",
    "sampling": """
model = rc.LanguageModel(50, hidden_size=1024, num_layers=1, rng=0)
def call(): model.sample(np.array([1]), 8000)
""",
    "decoder with attention": """
decoder = rc.AttentionRNN(50, 512, 50, rng=0)
x = np.ones((5000, 16, 50), np.float32)
def call(): decoder(x, small[:, :1].repeat(16, axis=1))
""",
    "decoder with attention, backward": """
decoder = rc.AttentionRNN(50, 512, 50, feeding="conditional", rng=0)
y, _, cache = decoder.forward(np.ones((1500, 16, 50), np.float32), small[:, :1].repeat(16, axis=1))
def call(): decoder.backward(y, cache)
""",
    # Threads that divide layers wait for each other after every chunk.
    "inference, deep": """
deep = rc.LSTM(50, 128, 2, rng=0)
def call(): deep(np.zeros((500_000, 1), int))
""",
    # Steps are worked off in chunks of some hundred: large ones must be left within a chunk.
    "forward, large steps": """
large = rc.LSTM(50, 2500, rng=0)
def call(): large.forward(np.zeros((500, 1), int))
""",
    "backward, large steps": """
large = rc.LSTM(50, 2500, rng=0)
cache = large.forward(np.zeros((500, 1), int))[2]
def call(): large.backward(None, cache, (np.ones((1, 1, 2500), np.float32),) * 2)
""",
}


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("name", "threads"), [*((name, 2) for name in CALLS), ("inference", 1), ("backward", 1)]
)
def test_interrupt(name: str, threads: int) -> None:
    program = PROGRAM.format(threads=threads, prepare=CALLS[name])
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
