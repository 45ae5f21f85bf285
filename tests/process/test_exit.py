"""The end of the process while daemon threads are inside calls that have released Python's lock."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, sys, threading, time
import numpy as np
import rnncore as rc

lstm = rc.LSTM(64, 64, rng=0)
x = np.zeros((50, 16, 64), np.float32)
started = threading.Semaphore(0)

{prepare}

def compute():
    call()
    started.release()
    while True:
        call()

threads = [threading.Thread(target=compute, daemon=True) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    started.acquire()
"""

# What each daemon thread does without end. The long calls ask for the user's interrupt meanwhile.
CALLS = {
    "inference": "def call(): lstm(x)",
    "long inference": """
large = rc.LSTM(64, 256, rng=0)
long = np.zeros((2000, 1, 64), np.float32)
def call():
    started.release()
    large(long)
""",
    "frozen": "frozen = lstm.frozen()\ndef call(): frozen(x)",
    "training": """
def call():
    layer = rc.LSTM(64, 64, rng=0)
    y, _, cache = layer.forward(x)
    layer.backward(y, cache)
    rc.optim.Adam(layer).step()
""",
    "stream": """
def call():
    stream = lstm.stream()
    stream.run(x[:, 0])
    stream.step(x[0, 0])
""",
    "sampling": """
model = rc.LanguageModel(50, hidden_size=64, num_layers=1, rng=0)
def call():
    model.sample(np.array([1]), 200)
    model.score(np.zeros(200, np.int64))
""",
    "other layers": """
linear, embedding, dropout = rc.Linear(64, 300, rng=0), rc.Embedding(9, 64, rng=0), rc.Dropout(0.5)
ids = np.zeros((50, 16), np.int64)
def call():
    y, cache = linear.forward(dropout.forward(embedding(ids))[0])
    linear.backward(y, cache)
""",
    "losses": """
logits = np.zeros((2000, 300), np.float32)
def call(): rc.losses.cross_entropy(logits, np.zeros(2000, np.int64))
""",
    "errors": """
def call():
    try:
        lstm(x[..., :3])
    except ValueError:
        pass
""",
}


def finish(end: str, prepare: str) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(prepare=prepare) + end
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("calls", CALLS)
def test_exit_while_daemon_threads_compute(calls: str) -> None:
    done = finish("", CALLS[calls])
    assert (done.returncode, done.stderr) == (0, "")


def test_interrupt_while_a_daemon_thread_computes() -> None:
    """Ctrl-C ends a program that waits for its threads as it ends any other."""
    end = """
signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
threads[0].join()
"""
    done = finish(end, CALLS["inference"])
    assert done.returncode == -signal.SIGINT
    assert done.stderr.endswith("KeyboardInterrupt\n")
    assert "terminate" not in done.stderr
