"""Calls from threads of 32 KiB: C libraries other than glibc give threads 128 KiB, OMP_STACKSIZE
may give less. A kernel that keeps an array of its own there ends the process."""

import subprocess
import sys
import textwrap

import pytest

from instruction_sets import INSTRUCTION_SETS
from rnncore import _core

LAYERS = """
for bias, size in ((True, 70), (False, 30)):
    for batch in (1, 20, 70):
        layer = rc.{cell}(
            size, 70, num_layers=2, bias=bias, dtype="{dtype}", compute={compute!r}, rng=0
        )
        x = np.ones((6, batch, size), layer.dtype)
        y, _, cache = layer.forward(x)
        layer.backward(y, cache)
        layer(x)
        layer.frozen()(x)
        layer(np.zeros((6, batch), np.int64))
"""
OTHERS = """
linear = rc.Linear(70, 300, dtype="{dtype}", compute={compute!r}, rng=0)
embedding = rc.Embedding(9, 70, dtype="{dtype}", rng=0)
dropout = rc.Dropout(0.5)
y, cache = linear.forward(dropout.forward(embedding(np.zeros((40, 3), np.int64)))[0])
linear.backward(y, cache)
for score in ("general", "additive"):
    attention = rc.Attention(300, 70, score=score, dtype="{dtype}", compute={compute!r}, rng=0)
    memory = np.ones((33, 3, 70), attention.dtype)
    context, cache = attention.forward(y, memory)
    attention.backward(context, cache)
    attention.hold(memory).read(y[0])
    for feeding in ("input", "conditional"):
        kinds = {{"score": score, "feeding": feeding, "compute": {compute!r}, "rng": 0}}
        decoder = rc.AttentionRNN(300, 70, 70, dtype="{dtype}", cell="lstm", **kinds)
        z, _, cache = decoder.forward(y, memory)
        decoder.backward(z, cache)
        decoder.hold(memory).step(y[0])
rc.losses.cross_entropy(y, np.zeros((40, 3), np.int64))
rc.losses.mse(y, y)
for name in ("SGD", "RMSprop", "Adam", "AdamW"):
    getattr(rc.optim, name)(linear, 0.1).step()
rc.optim.clip_grad_norm(linear, 1.0)
rc.optim.clip_grad_value(linear, 1.0)
"""
MODELS = """
for form in (None, "bfloat16", "int8"):
    options = {{"weight_format": form, "compute": {compute!r}, "rng": 0}}
    model = rc.LanguageModel(65, "{cell}", 64, 64, 2, **options)
    ids = np.arange(300) % 65
    model.score(ids)
    model.sample(ids[:3], 20)
    stream = rc.{layer}(70, 70, rng=0).stream(weight_format=form)
    stream.run(np.ones((30, 70), np.float32))
    stream.step(np.ones(70, np.float32))
model.loss_and_grad(rc.data.Batch(ids[:-1].reshape(23, 13), ids[1:].reshape(23, 13)))
"""


def programs() -> dict[str, str]:
    result = {}
    for dtype, compute in (("float32", None), ("float32", "bfloat16"), ("float64", None)):
        for cell in ("RNN", "GRU", "LSTM"):
            program = LAYERS.format(cell=cell, dtype=dtype, compute=compute)
            result[f"{cell}, {compute or dtype}"] = program
        result[f"others, {compute or dtype}"] = OTHERS.format(dtype=dtype, compute=compute)
    for layer in ("RNN", "GRU", "LSTM"):
        for compute in (None, "bfloat16"):
            program = MODELS.format(cell=layer.lower(), layer=layer, compute=compute)
            result[f"{layer} models, {compute or 'float32'}"] = program
    return result


PROGRAM = """
import faulthandler, sys, threading
import numpy as np
import rnncore as rc
from rnncore import _core

_core.select_isa({isa!r})
rc.set_num_threads(1)

def run():
    for name, program in {programs!r}.items():
        print(name, flush=True)
        exec(program, dict(globals()))

run()  # imports what is imported late: that takes more
threading.stack_size(32 * 1024)
thread = threading.Thread(target=run)
thread.start()
thread.join()
print("done")
"""


@pytest.mark.parametrize("isa", INSTRUCTION_SETS)
def test_every_call_in_a_small_stack(isa: str) -> None:
    if isa not in _core.available_isas():
        pytest.skip(f"no kernels for {isa} on this processor")
    program = textwrap.dedent(PROGRAM).format(isa=isa, programs=programs())
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False
    )
    where = done.stdout.splitlines()[-1:]
    assert done.returncode == 0, f"status {done.returncode} in {where}\n{done.stderr}"
    assert done.stdout.endswith("done\n"), done.stderr
    assert done.stderr == ""
