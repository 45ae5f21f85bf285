"""The same bits for any number of threads; forks after a parallel region; many Python threads."""

import ctypes
import os
import platform
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from many_threads import (
    RAGGED,
    WORKERS,
    assert_bits_do_not_depend_on_threads,
    layer_problem,
    run_at_once,
    threads,
)
from problems import (
    CELL_NAMES,
    RELATIVE_ERROR,
    Answers,
    Problem,
    as_tuple,
    assert_close,
    assert_same_bits,
    linear_losses,
)
from rnncore import _core
from twin import Twin

Array = NDArray[Any]


@pytest.mark.parametrize("lengths", [None, RAGGED], ids=["full", "ragged"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_layer(
    cell: str, bidirectional: bool, lengths: tuple[int, ...] | None, dtype: type[np.floating]
) -> None:
    problem = layer_problem(cell, bidirectional=bidirectional, lengths=lengths)
    layer = problem.layer(np.dtype(dtype).name)

    def run() -> Answers:
        x, state, _, _ = problem.inputs(np.dtype(dtype).name)
        y, _ = layer(x, state, lengths=problem.lengths)
        return {"inference": y, **problem.solve(layer)}

    assert_bits_do_not_depend_on_threads(run)


@pytest.mark.parametrize(("batch", "hidden"), [(16, 256), (48, 320)])
@pytest.mark.parametrize("cell", ["lstm", "gru_after", "gru_before"])
def test_tall_steps_of_many_threads(cell: str, batch: int, hidden: int) -> None:
    """So many threads divide the units of 16 rows; the weights of the other are far away."""
    problem = Problem.random(Twin(cell, 20, hidden), 6, batch, state=True)
    layer = problem.layer("float32")
    results = []
    for n in (1, 8):
        with threads(n):
            results.append(problem.solve(layer))
    assert_same_bits(results[1], results[0])


@pytest.mark.parametrize("cell", ["lstm", "rnn_tanh"])
def test_one_long_sequence_among_short_ones(cell: str) -> None:
    """Most chunks have few rows: the layers' weights then stay packed."""
    problem = Problem.random(Twin(cell, 9, 21, 3), 90, 130, lengths=(90, *(1,) * 129))
    layer = problem.layer("float32")
    assert_close(problem.solve(layer), problem.expected(), RELATIVE_ERROR["float32"])
    assert_bits_do_not_depend_on_threads(lambda: problem.solve(layer))


@pytest.mark.parametrize("lengths", ["full", "ragged"])
@pytest.mark.parametrize("batch", [1, 3, 7])
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_few_rows(cell: str, batch: int, lengths: str) -> None:
    """The threads divide the units of every step instead of rows."""
    ragged = tuple(1 + (37 * b + 60) % 100 for b in range(batch)) if lengths == "ragged" else None
    problem = Problem.random(Twin(cell, 70, 250, 2), 100, batch, state=True, lengths=ragged)
    layer = problem.layer("float32")

    def run() -> Answers:
        x, state, _, _ = problem.inputs("float32")
        y, _ = layer(x, state, lengths=problem.lengths)
        return {"inference": y, **problem.solve(layer)}

    assert_bits_do_not_depend_on_threads(run)


@pytest.mark.parametrize("inputs", ["full", "ragged", "ids"])
@pytest.mark.parametrize(("num_layers", "batch"), [(2, 1), (2, 6), (3, 2), (5, 3)])
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_layers_side_by_side(cell: str, num_layers: int, batch: int, inputs: str) -> None:
    """Of narrow layers and few rows the threads divide the layers, each a chunk behind the last.

    In inference all inner layers write to two arrays in turn; sequences end while others go on, and
    one is empty.
    """
    twin = Twin(cell, 40, 70, num_layers)
    ragged = (*(1 + (137 * b + 350) % 400 for b in range(batch - 1)), 0) if batch > 1 else (350,)
    lengths = None if inputs == "full" else ragged
    problem = Problem.random(twin, 400, batch, state=True, lengths=lengths, ids=inputs == "ids")
    layer = problem.layer("float32", compute="bfloat16" if num_layers == 3 else None)

    def run() -> Answers:
        x, state, _, _ = problem.inputs("float32")
        y, final = layer(x, state, lengths=problem.lengths)
        states = {f"inference, state {i}": s for i, s in enumerate(as_tuple(final))}
        return {"inference": y, **states, **problem.solve(layer)}

    assert_bits_do_not_depend_on_threads(run)


@pytest.mark.parametrize("lengths", [None, (0, 40, *range(1, 39), *(20,) * 27)])
def test_copies_of_large_arrays(lengths: tuple[int, ...] | None) -> None:
    """The rows of ragged or strided arrays are packed and spread by several threads."""
    problem = Problem.random(Twin("rnn_tanh", 150, 150), 40, 67, lengths=lengths)
    layer = problem.layer("float32")
    x, _, dy, _ = problem.inputs("float32")
    assert x.nbytes > 4 * 300_000  # from which on a thread is worth while

    def run() -> Answers:
        y, _, cache = layer.forward(np.asfortranarray(x), lengths=lengths)
        dx, _ = layer.backward(np.asfortranarray(dy), cache)
        return {"y": y, "dx": dx}

    assert_bits_do_not_depend_on_threads(run)
    y, _, cache = layer.forward(x, lengths=lengths)
    assert_same_bits(run(), {"y": y, "dx": layer.backward(dy, cache)[0]})


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_ids(cell: str) -> None:
    """Gradients of looked-up columns are sums over steps, in an order that is always the same."""
    problem = layer_problem(cell, bidirectional=True, lengths=RAGGED, ids=True)
    layer = problem.layer("float32")
    assert_bits_do_not_depend_on_threads(lambda: problem.solve(layer))


def test_dropout_masks() -> None:
    problem = layer_problem("lstm", bidirectional=True, lengths=RAGGED)
    assert_bits_do_not_depend_on_threads(
        lambda: problem.solve(problem.layer("float32", dropout=0.5))
    )
    few_rows = Problem.random(Twin("gru_after", 40, 70, 3), 400, 2, state=True)
    assert_bits_do_not_depend_on_threads(
        lambda: few_rows.solve(few_rows.layer("float32", dropout=0.5))
    )
    x = np.ones(100_003, np.float32)
    assert_bits_do_not_depend_on_threads(lambda: {"dropout": _core.dropout(x, 0.5, 3)})


def test_losses_and_linear_layer(dtype: type[np.floating]) -> None:
    rng = np.random.default_rng(0)
    x, dy = (
        rng.standard_normal((501, 70)).astype(dtype),
        rng.standard_normal((501, 303)).astype(dtype),
    )
    weight, bias = (
        rng.standard_normal((303, 70)).astype(dtype),
        rng.standard_normal(303).astype(dtype),
    )
    targets = rng.integers(0, 303, 501)
    ids = rng.integers(0, 50, 5000)
    d_rows = rng.standard_normal((5000, 70)).astype(dtype)

    def run() -> Answers:
        logits = _core.linear_forward(x, weight, bias)
        losses, dlogits = _core.cross_entropy(logits, targets, -100)
        dweight, dbias = np.zeros_like(weight), np.zeros_like(bias)
        dx = _core.linear_backward(dy, x, weight, dweight, dbias)
        answers = {"logits": logits, "losses": losses, "dlogits": dlogits}
        answers.update({"dweight": dweight, "dbias": dbias, "dx": dx})

        answers["fused losses"] = linear_losses(x, weight, bias, targets, -100)

        dembedding = np.zeros((50, 70), dtype)
        _core.embedding_backward(d_rows, ids, dembedding)
        answers["dembedding"] = dembedding
        return answers

    assert_bits_do_not_depend_on_threads(run)


def test_optimisers(dtype: type[np.floating]) -> None:
    rng = np.random.default_rng(1)
    params, grads = (rng.standard_normal(200_003).astype(dtype) for _ in range(2))

    def run() -> Answers:
        norm = _core.squared_norm(grads)
        answers = {"norm": np.array(norm)}
        for name, function, buffers, settings in (
            ("sgd", _core.sgd_step, 1, (0.1, 0.9, True, 0.01)),
            ("rmsprop", _core.rmsprop_step, 1, (0.1, 0.9, 1e-8, 0.01)),
            ("adam", _core.adam_step, 2, (0.1, 0.9, 0.999, 1e-8, 0.01, True, 1)),
        ):
            p, state = params.copy(), [np.zeros_like(params) for _ in range(buffers)]
            function(p, grads.copy(), *state, *settings, float(norm**-0.5), 0.5, True)
            answers[name] = p
        return answers

    assert_bits_do_not_depend_on_threads(run)


@pytest.mark.parametrize(
    ("n", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (2**40, ValueError),
        (1.5, TypeError),
        ("2", TypeError),
        (None, TypeError),
        (True, TypeError),
    ],
)
def test_bad_numbers_of_threads(n: Any, error: type[Exception]) -> None:
    before = rc.get_num_threads()
    with pytest.raises(error, match=f"n: expected .*{n}"):
        rc.set_num_threads(n)
    assert rc.get_num_threads() == before


# --- Python threads ------------------------------------------------------------------------------


def number_of_threads(**environment: str) -> subprocess.CompletedProcess[str]:
    """The number of threads that a new process takes from the environment."""
    return subprocess.run(
        [sys.executable, "-c", "import rnncore; print(rnncore.get_num_threads())"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_environment_limits_threads() -> None:
    assert number_of_threads(RNNCORE_NUM_THREADS="1").stdout == "1\n"
    unlimited = number_of_threads(RNNCORE_NUM_THREADS="")
    assert unlimited.stdout == number_of_threads(RNNCORE_NUM_THREADS="100000").stdout
    for wrong in ("abc", "0", "-3", "2x", "1.5"):
        failed = number_of_threads(RNNCORE_NUM_THREADS=wrong)
        expected = f"RNNCORE_NUM_THREADS: expected a number of threads of at least 1, got '{wrong}'"
        assert f"ValueError: {expected}" in failed.stderr


@pytest.mark.parametrize("own", [{}, {"OMP_WAIT_POLICY": "passive"}, {"KMP_BLOCKTIME": "0"}])
def test_settings_of_openmp_are_the_users(own: dict[str, str]) -> None:
    """What the import sets for the runtime is gone afterwards; what the user has set stays."""
    names = ("GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_WAIT_POLICY")
    program = f"import os, rnncore; print({{n: os.environ[n] for n in {names} if n in os.environ}})"
    others = {name: value for name, value in os.environ.items() if name not in names}
    shown = subprocess.run(
        [sys.executable, "-c", program], env={**others, **own}, capture_output=True, text=True
    )
    assert shown.stdout == f"{own}\n", shown.stderr


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processors cannot be chosen")
@pytest.mark.parametrize(
    ("variable", "value"),
    [("OMP_PROC_BIND", "true"), ("OMP_PROC_BIND", "spread"), ("OMP_PLACES", "threads")],
)
def test_bound_threads(variable: str, value: str) -> None:
    """OpenMP binds the main thread when it is loaded: its mask no longer tells of others."""
    bound = number_of_threads(**{variable: value})
    assert bound.stdout == number_of_threads().stdout
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})  # of this thread and the processes it starts
    try:
        assert number_of_threads(**{variable: value}).stdout == "1\n"
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="processors cannot be chosen")
def test_places_limit_threads() -> None:
    one = min(os.sched_getaffinity(0))
    assert number_of_threads(OMP_PLACES=f"{{{one}}}").stdout == "1\n"


@pytest.mark.parametrize("cell", ["rnn_tanh", "gru_before", "lstm"])
def test_eight_threads_on_one_layer(cell: str) -> None:
    """Forward, inference and backward are re-entrant; the gradients all add to are not compared."""
    twin = Twin(cell, 9, 33, 2, bidirectional=True)
    problems = [Problem.random(twin, 5 + i, 6, seed=i) for i in range(WORKERS)]
    layer = problems[0].layer("float32")

    def solve(i: int) -> Answers:
        x, _, dy, _ = problems[i % WORKERS].inputs("float32")
        inferred, _ = layer(x)
        y, _, cache = layer.forward(x)
        dx, _ = layer.backward(dy, cache)
        return {"inference": inferred, "y": y, "dx": dx}

    serial = [solve(i) for i in range(WORKERS)]
    for i, answers in enumerate(run_at_once(solve)):
        assert_same_bits(answers, serial[i % WORKERS])


def test_eight_threads_on_different_layers() -> None:
    """Own layers, own gradients: everything as in serial."""
    problems = [
        Problem.random(Twin(CELL_NAMES[i % len(CELL_NAMES)], 9, 20 + i, 2), 7, 11, seed=i)
        for i in range(WORKERS)
    ]
    serial = [problem.solve(problem.layer("float32")) for problem in problems]

    def solve(i: int) -> Answers:
        problem = problems[i % WORKERS]
        return problem.solve(problem.layer("float32"))

    for i, answers in enumerate(run_at_once(solve)):
        assert_same_bits(answers, serial[i % WORKERS])


# --- fork ----------------------------------------------------------------------------------------
FORK = """
import os, signal, sys, time
import numpy as np
import rnncore as rc

layer = rc.LSTM(64, 128, 2, rng=0)
x = np.random.default_rng(0).standard_normal((20, 32, 64)).astype(np.float32)

def step():
    y, _, cache = layer.forward(x)
    layer.zero_grad()
    dx, _ = layer.backward(np.ones_like(y), cache)
    return y.tobytes() + dx.tobytes() + layer.flat_grads.tobytes()

rc.set_num_threads(2)
expected = step()
"""

FORK_BARE = (
    FORK
    + """
child = os.fork()
if child == 0:
    os._exit(0 if step() == expected else 7)
for _ in range(600):
    done, status = os.waitpid(child, os.WNOHANG)
    if done:
        break
    time.sleep(0.1)
else:
    os.kill(child, signal.SIGKILL)
    sys.exit("the forked child hangs")
if status:
    sys.exit(f"the forked child ended with status {status}")
assert step() == expected, "the parent is damaged"
"""
)

FORK_POOL = (
    FORK
    + """
import multiprocessing

def work(_):
    return step() == expected

with multiprocessing.get_context("fork").Pool(3) as pool:
    assert pool.map_async(work, range(6)).get(timeout=60) == [True] * 6
assert step() == expected, "the parent is damaged"
"""
)

FORK_FROM_THREADS = (
    FORK
    + """
import threading

stop = threading.Event()

def busy():
    while not stop.is_set():
        layer(x)

busy_threads = [threading.Thread(target=busy) for _ in range(3)]
for t in busy_threads:
    t.start()
try:
    for _ in range(5):
        child = os.fork()
        if child == 0:
            os._exit(0 if step() == expected else 7)
        deadline = time.monotonic() + 60
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                break
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                status = -1
                os.waitpid(child, 0)
                break
            time.sleep(0.01)
        if status:
            sys.exit(f"the forked child hangs or ended wrong: {status}")
finally:
    stop.set()
    for t in busy_threads:
        t.join()
"""
)


MANY = """
class Many(rc.layers.Module):
    def __init__(self):
        super().__init__()
        self.parts = [rc.Linear(100, 100) for _ in range(20)]
"""

FORK_FROM_BUILDERS = (
    FORK_FROM_THREADS.replace("import threading", "import threading" + MANY, 1)
    .replace("layer(x)", "Many().flat_params")
    .replace("        if child == 0:", "        if child == 0:\n            Many().flat_params")
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize(
    "program",
    [FORK_BARE, FORK_POOL, FORK_FROM_THREADS, FORK_FROM_BUILDERS],
    ids=["fork", "pool", "busy-parent", "parent-builds-models"],
)
def test_fork_after_a_parallel_region(program: str) -> None:
    """libgomp's threads do not survive a fork; the child must not wait for them."""
    # The limit is for a hang, which would last for ever; the run itself takes a second or two.
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr


# --- beside other programs ----------------------------------------------------------------------


def time_slice(tid: int) -> int:
    """Nanoseconds of a thread's time slice (Linux 6.12 and newer); 0 where it is not known."""
    number = {"x86_64": 315, "aarch64": 275}.get(platform.machine(), 0)  # sched_getattr
    if sys.platform != "linux" or not number:
        return 0
    attributes = ctypes.create_string_buffer(48)  # struct sched_attr in its first form
    if ctypes.CDLL(None).syscall(number, tid, attributes, 48, 0) != 0:
        return 0
    return int.from_bytes(attributes.raw[24:32], "little")


def test_the_callers_time_slice_is_given_back() -> None:
    """The kernel's own threads keep the short one, with which they wait for each other less."""
    before = time_slice(0)
    if not before:
        pytest.skip("this system does not tell time slices")
    layer = rc.LSTM(64, 128, rng=0)
    with threads(2):
        layer(np.zeros((50, 40, 64), np.float32))
    assert time_slice(0) == before
    slices = {time_slice(int(tid)) for tid in os.listdir("/proc/self/task")}
    assert min(slices) == 100_000


def permissions() -> dict[int, set[int]]:
    """Processors that each thread of this process may use; Linux."""
    return {int(task): os.sched_getaffinity(int(task)) for task in os.listdir("/proc/self/task")}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_threads_keep_their_permission_to_use_processors() -> None:
    """A thread that moves to another processor is not left bound to it."""
    layer = rc.LSTM(64, 128, rng=0)
    x = np.zeros((30, 40, 64), np.float32)
    with threads(3):
        layer(x)  # starts the threads
        before = permissions()
        for _ in range(20):
            layer(x)
        after = permissions()
    assert len(after) >= 3
    assert all(after[task] == before[task] for task in before.keys() & after.keys())


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processors cannot be chosen")
def test_more_threads_than_processors() -> None:
    """Two threads on one processor wait for each other without an end."""
    layer = rc.LSTM(64, 128, rng=0)
    x = np.ones((30, 40, 64), np.float32)
    with threads(3):
        expected, _ = layer(x)  # starts the threads, which inherit what their parent may use
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        with threads(3):
            y, _ = layer(x)
    finally:
        os.sched_setaffinity(0, allowed)
    assert y.tobytes() == expected.tobytes()
