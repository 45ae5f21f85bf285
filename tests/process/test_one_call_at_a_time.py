"""Streams and samplers in several threads, in forked children and in signal handlers."""

import copy
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from arrays import inputs
from instruction_sets import selected

Array = NDArray[Any]

COPIES: dict[str, Callable[[Any], Any]] = {
    "copy()": lambda held: held.copy(),
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
}


# --- copies --------------------------------------------------------------------------------------
@pytest.mark.parametrize("make_copy", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("cell", [rc.RNN, rc.GRU, rc.LSTM])
@pytest.mark.parametrize("weight_format", [None, "bfloat16", "int8"])
def test_a_copied_stream_goes_on_alone(
    make_copy: Any, cell: Any, weight_format: str | None
) -> None:
    x = inputs(40, 2, 5)
    first = cell(5, 17, num_layers=2, rng=0).stream(2, weight_format)
    expected = first.run(x)
    first.reset()
    first.run(x[:15])
    second = make_copy(first)
    state = first.state
    got = second.run(x[15:])
    np.testing.assert_array_equal(first.state, state)
    del first
    second_of_second = make_copy(second)
    second_of_second.reset()
    np.testing.assert_array_equal(got[-1], np.asarray(second.state).reshape(-1, 2, 2, 17)[0, -1])
    for y in (np.concatenate([expected[:15], got]), second_of_second.run(x)):
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6)  # pieces share other products


def test_a_copied_stream_keeps_what_a_user_has_set() -> None:
    class Named(rc.layers.Stream[Any]):
        pass

    stream: Any = Named(rc.GRU(3, 4, rng=0))
    stream.names = ["left"]
    shallow, deep = copy.copy(stream), copy.deepcopy(stream)
    assert type(shallow) is type(deep) is Named
    assert shallow.names is stream.names
    assert deep.names == stream.names
    assert deep.names is not stream.names


@pytest.mark.parametrize("make_copy", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("embedding_size", [None, 4])
def test_a_copied_sampler_goes_on_alone(make_copy: Any, embedding_size: int | None) -> None:
    model = rc.LanguageModel(50, "lstm", embedding_size, 20, 2, rng=0)
    first = model.sampler()
    with pytest.raises(ValueError, match="fed"):  # copied before anything was fed
        make_copy(first).draw(1, 1.0, 0, 1.0, 1, 0)
    first.feed(np.arange(9))
    second = make_copy(first)
    expected = first.draw(30, 1.0, 0, 1.0, 7, 0)
    np.testing.assert_array_equal(second.draw(30, 1.0, 0, 1.0, 7, 0), expected)


def test_copies_share_their_weights() -> None:
    """Twenty copies of 33 MB of weights; what a process holds is known of Linux."""
    if sys.platform != "linux":
        pytest.skip("needs /proc/self/statm")

    def resident_bytes() -> int:
        with open("/proc/self/statm") as numbers:
            return int(numbers.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    stream = rc.LSTM(1024, 1024, rng=0).stream()
    before = resident_bytes()
    copies = [stream.copy() for _ in range(20)]
    assert resident_bytes() - before < 100e6, len(copies)


# --- threads -------------------------------------------------------------------------------------
def until_refused(*calls: Callable[[], object]) -> str:
    """Repeat each call in a thread of its own until one is refused; the error's message."""
    refused: list[str] = []
    deadline = time.monotonic() + 60  # what is never refused is to fail, not to go on for ever

    def repeat(call: Callable[[], object]) -> None:
        while not refused and time.monotonic() < deadline:
            try:
                call()
            except RuntimeError as error:
                refused.append(str(error))

    workers = [threading.Thread(target=repeat, args=(call,)) for call in calls]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert refused
    return refused[0]


STREAM_CALLS: dict[str, Callable[[Any], object]] = {
    "run": lambda stream: stream.run(np.zeros((5000, 8), np.float32)),
    "step": lambda stream: stream.step(np.zeros(8, np.float32)),
    "reset": lambda stream: stream.reset(),
    "state": lambda stream: stream.state,
    "set state": lambda stream: setattr(stream, "state", np.zeros((1, 1, 64), np.float32)),
    "copy": lambda stream: stream.copy(),
}


@pytest.mark.parametrize("call", STREAM_CALLS.values(), ids=STREAM_CALLS)
def test_two_calls_of_a_stream_at_once_are_refused(call: Callable[[Any], object]) -> None:
    stream = rc.GRU(8, 64, rng=0).stream()
    message = until_refused(lambda: STREAM_CALLS["run"](stream), lambda: call(stream))
    for words in ("stream: expected one call at a time", "another thread", "stream.copy()"):
        assert words in message
    stream.reset()
    np.testing.assert_array_equal(
        stream.run(inputs(9, 8)), rc.GRU(8, 64, rng=0).stream().run(inputs(9, 8))
    )


def test_two_calls_of_a_sampler_at_once_are_refused() -> None:
    ids = np.zeros(5000, np.int64)
    sampler = rc.LanguageModel(8, "gru", None, 64, 1, rng=0).sampler()
    sampler.feed(ids[:1])
    others: list[Callable[[], object]] = [
        lambda: sampler.draw(1, 1.0, 0, 1.0, 1, 0),
        lambda: sampler.score(ids[:2]),
        lambda: sampler.copy(),
    ]
    for other in others:
        message = until_refused(lambda: sampler.feed(ids), other)
        assert message.startswith("sampler: expected one call at a time, got one while another")


def test_eight_threads_with_copies_of_one_stream() -> None:
    stream = rc.LSTM(5, 40, num_layers=2, rng=0).stream()
    sequences = [inputs(300, 5, seed=i) for i in range(32)]
    expected = []
    for x in sequences:
        stream.reset()
        expected.append(stream.run(x))
    stream.reset()
    with ThreadPoolExecutor(8) as pool:
        outputs = list(pool.map(lambda x: stream.copy().run(x), sequences))
    np.testing.assert_array_equal(outputs, expected)


def test_a_call_that_fails_ends() -> None:
    stream, x = rc.GRU(3, 4, rng=0).stream(), np.zeros(3, np.float32)
    with selected("reference"), pytest.raises(ValueError, match="instruction set"):
        stream.step(x)
    stream.step(x)


# --- fork ----------------------------------------------------------------------------------------
FORK = """
import os, signal, sys, threading, time
import numpy as np
import rnncore as rc

{prepare}
stop = threading.Event()

def busy():
    while not stop.is_set():
        long_call()

def forked_during_the_call():
    while True:  # until a call is refused: the other is going on
        try:
            short_call()
        except RuntimeError:
            return os.fork()

worker = threading.Thread(target=busy)
worker.start()
try:
    for _ in range(4):
        child = forked_during_the_call()
        if child == 0:
            try:
                short_call()
            except RuntimeError as error:
                os._exit(0 if "when this process was forked" in str(error) else 6)
            os._exit(0)  # the call had ended
        deadline = time.monotonic() + 60
        while not os.waitpid(child, os.WNOHANG)[0]:
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                sys.exit("the forked child hangs")
            time.sleep(0.01)
finally:
    stop.set()
    worker.join()
short_call()
"""

BUSY = {
    "stream": """
stream = rc.GRU(64, 64, rng=0).stream()
x = np.zeros((50_000, 64), np.float32)
def long_call():
    try: stream.run(x)
    except RuntimeError: pass
def short_call(): stream.step(x[0])
""",
    "sampler": """
sampler = rc.LanguageModel(64, "gru", None, 64, 1, rng=0).sampler()
ids = np.zeros(50_000, np.int64)
def long_call():
    try: sampler.feed(ids)
    except RuntimeError: pass
def short_call(): sampler.feed(ids[:1])
""",
}


def run_program(program: str) -> str:
    # The limit is for a hang, which would last for ever.
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("prepare", BUSY.values(), ids=BUSY)
def test_fork_during_a_call(prepare: str) -> None:
    """The child has the stream, and no thread that would ever end the call."""
    run_program(FORK.format(prepare=prepare))


FORK_FROZEN = """
import os, threading
import numpy as np
import rnncore as rc

rc.set_num_threads(1)
for i in range(20):
    layer = rc.LSTM(64, 512, rng=0).frozen()
    x = np.zeros((1, 1, 64), np.float32)
    worker = threading.Thread(target=layer, args=(x,))
    worker.start()  # packs the weights
    child = os.fork()
    if child == 0:
        layer(x)
        os._exit(0)
    worker.join()
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_fork_while_a_frozen_layer_packs() -> None:
    run_program(FORK_FROZEN)


# --- signal handlers -----------------------------------------------------------------------------
HANDLER = """
import copy, signal
import numpy as np
import rnncore as rc

{prepare}
refused = []

def handler(number, frame):
    look()
    try:
        change()
    except RuntimeError as error:
        refused.append(str(error))
        if len(refused) == 2:
            raise InterruptedError
    signal.setitimer(signal.ITIMER_REAL, 0.2)

signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.2)
try:
    while True:  # calls between which the handler may run too, where nothing is refused
        call()
except InterruptedError:
    pass
change()
print(refused[0])
"""

INTERRUPTED = {
    "stream": """
stream = rc.LSTM(64, 64, rng=0).stream()
x = np.zeros((400_000, 64), np.float32)
def call(): stream.run(x)
def look():
    assert stream.state[0].shape == (1, 1, 64)
    stream.copy().step(x[0])
def change(): stream.step(x[0])
""",
    "sampler": """
sampler = rc.LanguageModel(64, "gru", None, 64, 1, rng=0).sampler()
sampler.feed(np.zeros(1, int))
def call(): sampler.draw(200_000, 1.0, 0, 1.0, 1, 0)
def look(): copy.deepcopy(sampler).draw(1, 1.0, 0, 1.0, 1, 0)
def change(): sampler.draw(1, 1.0, 0, 1.0, 1, 0)
""",
}


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("held", INTERRUPTED)
def test_a_signal_handler_reads_inside_a_call_and_changes_nothing(held: str) -> None:
    refused = run_program(HANDLER.format(prepare=INTERRUPTED[held]))
    assert refused.startswith(f"{held}: expected one call at a time, got one in a signal handler")


NESTED = """
import signal
import numpy as np
import rnncore as rc

rc.set_num_threads(2)
layer = rc.LSTM(64, 128, rng=0)
frozen = layer.frozen()
x = np.zeros((300, 16, 64), np.float32)
expected, state, cache = layer.forward(x)
seen = []

def handler(number, frame):
    layer.backward(None, cache)
    seen.extend([layer(x[:9])[0], frozen(x[:9])[0]])

signal.signal(signal.SIGALRM, handler)
long = np.concatenate([x] * 10)
for call in (layer, frozen, layer.forward):
    seen.clear()
    signal.setitimer(signal.ITIMER_REAL, 0.2)  # once: a handler may take longer than that
    while not seen:
        y = call(long)[0]
    assert np.array_equal(y[:300], expected)
    assert all(np.array_equal(few, expected[:9]) for few in seen)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_signal_handler_calls_the_layer_whose_call_it_interrupts() -> None:
    """Threads that wait for the interrupted one take no part in the other call."""
    run_program(NESTED)
