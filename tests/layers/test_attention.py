"""Attention: values and gradients against the twin, PyTorch and finite differences; its options."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from arrays import inputs
from attention_twin import RELATIVE_ERROR, AttentionTwin, assert_close, solve
from bfloat16 import rounded
from finite_difference import assert_gradient
from instruction_sets import selected
from many_threads import assert_bits_do_not_depend_on_threads
from refusal import refuses
from rnncore import _core

Array = NDArray[Any]

# query_size, memory_size and options: every score, with and without projections and heads
LAYERS: dict[str, tuple[int, int, dict[str, Any]]] = {
    "dot": (24, 24, {"score": "dot"}),
    "dot of heads": (24, 24, {"score": "dot", "num_heads": 3, "scaled": True}),
    "general": (21, 19, {}),
    "general, projected": (21, 18, {"attention_size": 12, "num_heads": 2}),
    "general, scaled": (20, 12, {"num_heads": 4, "scaled": True}),
    "additive": (21, 19, {"score": "additive"}),
    "additive of heads": (10, 18, {"score": "additive", "attention_size": 34, "num_heads": 2}),
}
every_layer = pytest.mark.parametrize("name", LAYERS)
LENGTHS, QUERY_LENGTHS = [17, 1, 0, 6, 0], [5, 2, 4, 0, 5]


def make(name: str, **options: Any) -> rc.Attention:
    query_size, memory_size, given = LAYERS[name]
    return rc.Attention(query_size, memory_size, rng=0, **given, **options)


def problem(layer: rc.Attention, steps: int = 5, batch: int = 5, length: int = 17) -> list[Array]:
    """Queries, memory and the gradient of the contexts."""
    shapes = (steps, layer.query_size), (length, layer.memory_size), (steps, layer.memory_size)
    return [
        inputs(t, batch, width, dtype=layer.dtype, seed=seed)
        for seed, (t, width) in enumerate(shapes)
    ]


# --- values and gradients ------------------------------------------------------------------------
@every_layer
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
def test_layer_equals_twin(isa: str, dtype: Any, name: str, ragged: bool) -> None:
    layer = make(name, dtype=dtype)
    query, memory, dcontext = problem(layer)
    lengths, ends = (LENGTHS, QUERY_LENGTHS) if ragged else ([17] * 5, [5] * 5)
    got = solve(layer, query, memory, *((lengths, ends) if ragged else (None, None)), dcontext)
    expected = AttentionTwin.of(layer).solve(query, memory, lengths, ends, dcontext)
    assert_close(got, expected, RELATIVE_ERROR[layer.dtype])
    assert all(array.dtype == dtype for array in got.values())


@every_layer
def test_gradients_by_finite_differences(name: str) -> None:
    layer = make(name, dtype=np.float64)
    query, memory, dcontext = problem(layer, steps=2, batch=3, length=4)
    lengths, ends = [4, 0, 3], [2, 2, 1]
    dquery, dmemory = layer.backward(dcontext, layer.forward(query, memory, lengths, ends)[1])
    for what, values, gradient in (
        ("query", query, dquery),
        ("memory", memory, dmemory),
        *((n, layer.params[n], layer.grads[n]) for n in layer.params),
    ):
        assert_gradient(
            lambda: float((layer(query, memory, lengths, ends) * dcontext).sum()),
            values,
            gradient,
            what,
        )


@every_layer
def test_layer_equals_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    layer = make(name, dtype=np.float64)
    query, memory, dcontext = problem(layer)
    got = solve(layer, query, memory, [17, 1, 3, 6, 9], None, dcontext)

    leaves = {n: torch.tensor(p, requires_grad=True) for n, p in layer.params.items()}
    q, m = (torch.tensor(a, requires_grad=True) for a in (query, memory))
    heads = layer.num_heads

    def split(rows: Any) -> Any:
        """[T,B,W] -> [B,heads,T,W/heads]."""
        return rows.unflatten(-1, (heads, -1)).permute(1, 2, 0, 3)

    queries, keys = q, m
    if "query_projection.weight" in leaves:
        bias = leaves.get("query_projection.bias")
        queries = torch.nn.functional.linear(q, leaves["query_projection.weight"], bias)
    if "key_projection.weight" in leaves:
        keys = m @ leaves["key_projection.weight"].T
    queries, keys = split(queries), split(keys)
    if layer.score == "additive":
        sums = torch.tanh(queries[:, :, :, None] + keys[:, :, None])
        scores = (sums * leaves["v"].reshape(1, heads, 1, 1, -1)).sum(-1)
    else:
        scale = queries.shape[-1] ** -0.5 if layer.scaled else 1.0
        scores = scale * queries @ keys.transpose(-1, -2)
    past = torch.arange(17) >= torch.tensor([17, 1, 3, 6, 9])[:, None]
    weights = scores.masked_fill(past[:, None, None], -torch.inf).softmax(-1)
    context = (weights @ split(m)).permute(2, 0, 1, 3).flatten(2)
    context.backward(torch.tensor(dcontext))
    expected = {
        "context": context,
        "weights": weights.permute(2, 0, 1, 3),
        "dquery": q.grad,
        "dmemory": m.grad,
        **{n: leaf.grad for n, leaf in leaves.items()},
    }
    assert_close(got, {n: t.detach().numpy() for n, t in expected.items()}, 1e-12)


def test_gradients_are_added() -> None:
    layer = make("additive", dtype=np.float64)
    query, memory, dcontext = problem(layer)
    _, cache = layer.forward(query, memory)
    once = layer.backward(dcontext, cache)
    grads = layer.flat_grads.copy()
    twice = layer.backward(dcontext, cache)
    np.testing.assert_array_equal(once[1], twice[1])
    np.testing.assert_allclose(layer.flat_grads, 2 * grads, rtol=1e-12)


@every_layer
def test_padding_is_not_read(name: str) -> None:
    layer = make(name)
    query, memory, dcontext = problem(layer)
    expected = solve(layer, query, memory, LENGTHS, QUERY_LENGTHS, dcontext)
    for b, (length, end) in enumerate(zip(LENGTHS, QUERY_LENGTHS, strict=True)):
        memory[length:, b] = np.nan
        query[end:, b] = dcontext[end:, b] = np.nan
    got = solve(layer, query, memory, LENGTHS, QUERY_LENGTHS, dcontext)
    for key, wanted in expected.items():
        np.testing.assert_array_equal(got[key], wanted)


@every_layer
@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0), (0, 0, 0)])
def test_nothing_to_do(name: str, shape: tuple[int, int, int]) -> None:
    layer = make(name)
    steps, batch, length = shape
    query, memory, dcontext = problem(layer, steps, batch, length)
    got = solve(layer, query, memory, None, None, dcontext)
    assert got["context"].shape == (steps, batch, layer.memory_size)
    assert not any(gradient.any() for gradient in got.values() if gradient is not got["weights"])


@every_layer
def test_bits_do_not_depend_on_threads(isa: str, dtype: Any, name: str) -> None:
    layer = make(name, dtype=dtype)
    query, memory, dcontext = problem(layer, 30, 37, 31)
    lengths, ends = [(5 * b) % 32 for b in range(37)], [(7 * b) % 31 for b in range(37)]

    def run() -> dict[str, Array]:
        inference = layer(query, memory, lengths, ends)
        held = layer.hold(memory, lengths).read(query[0].repeat(2, 0), np.arange(37).repeat(2))
        results = solve(layer, query, memory, lengths, ends, dcontext)
        return {"inference": inference, "held": held[0], "of held": held[1], **results}

    assert_bits_do_not_depend_on_threads(run)


@every_layer
def test_inference_and_layouts(name: str) -> None:
    """The same bits from a call that keeps nothing, and from arrays that lie in another way."""
    layer = make(name)
    given = problem(layer)
    expected = solve(layer, *given[:2], LENGTHS, QUERY_LENGTHS, given[2])
    contexts = layer(*given[:2], LENGTHS, query_lengths=QUERY_LENGTHS)
    np.testing.assert_array_equal(contexts, expected["context"])
    for lay in (
        lambda a: np.asfortranarray(a),
        lambda a: np.ascontiguousarray(a[::-1])[::-1],
        lambda a: np.repeat(a, 2, axis=2)[:, :, ::2],
        lambda a: a.swapaxes(0, 1).copy().swapaxes(0, 1),
    ):
        query, memory, dcontext = map(lay, given)
        got = solve(layer, query, memory, LENGTHS, np.array(QUERY_LENGTHS, np.int16), dcontext)
        for key, wanted in expected.items():
            np.testing.assert_array_equal(got[key], wanted)


def test_the_same_array_as_query_and_memory() -> None:
    layer = make("dot", dtype=np.float64)
    x = inputs(5, 2, 24, dtype=np.float64)
    dcontext = inputs(5, 2, 24, dtype=np.float64, seed=3)
    dquery, dmemory = layer.backward(dcontext, layer.forward(x, x)[1])
    assert_gradient(lambda: float((layer(x, x) * dcontext).sum()), x, dquery + dmemory, "x")


@pytest.mark.parametrize("name", ["general", "general, projected", "additive"])
def test_projections_in_bfloat16(isa: str, name: str) -> None:
    """Queries and memory are rounded, and the weights, for the projections; nothing else."""
    layer = make(name, compute="bfloat16")
    query, memory, dcontext = problem(layer)
    got = solve(layer, query, memory, LENGTHS, QUERY_LENGTHS, dcontext)
    keys = rounded(memory).astype(np.float64) @ rounded(layer.params["key_projection.weight"]).T
    whole = rc.Attention(  # over keys that are projected before; its own projection changes nothing
        layer.query_size if layer.query_projection is None else keys.shape[2],
        keys.shape[2],
        score=layer.score,
        num_heads=layer.num_heads,
    )
    whole.params["key_projection.weight"] = np.eye(keys.shape[2], dtype=np.float32)
    queries = query
    if layer.query_projection is not None:
        weight = rounded(layer.params["query_projection.weight"])
        bias = layer.params.get("query_projection.bias", 0)
        queries = (rounded(query).astype(np.float64) @ weight.T + bias).astype(np.float32)
    if whole.score == "additive":
        assert whole.query_projection is not None
        whole.params["query_projection.weight"] = np.eye(keys.shape[2], dtype=np.float32)
        whole.params["query_projection.bias"] = np.zeros(keys.shape[2], np.float32)
        whole.params["v"] = layer.params["v"]
    expected = whole.weights(queries, keys.astype(np.float32), LENGTHS, QUERY_LENGTHS)
    # sums of rounded products in another order
    np.testing.assert_allclose(got["weights"], expected, rtol=0, atol=1e-6)
    exact = make(name).weights(query, memory, LENGTHS, QUERY_LENGTHS)
    assert np.max(np.abs(got["weights"] - exact)) > 2e-5


# --- in a pass -----------------------------------------------------------------------------------
def test_gradients_reach_memory_and_queries_in_a_training_pass() -> None:
    rng = np.random.default_rng(0)
    encoder, decoder = (rc.GRU(3, 6, dtype=np.float64, rng=rng) for _ in range(2))
    attention = rc.Attention(6, 6, dtype=np.float64, rng=rng)
    head = rc.heads.Softmax(6, 4, dtype=np.float64, rng=rng)
    x, y, targets = rng.random((5, 2, 3)), rng.random((4, 2, 3)), rng.integers(0, 4, (4, 2))

    def loss(run: Any) -> Any:
        memory, final = run(encoder, x, lengths=[5, 3])
        query, _ = run(decoder, y, final)
        context = run(attention, query, memory, lengths=[5, 3], query_lengths=[4, 2])
        run.loss(head, context, targets, lengths=[4, 2])
        return run

    loss(rc.models.TrainingPass()).backward()
    for layer in (encoder, decoder, attention, head):
        assert_gradient(
            lambda: loss(rc.models.LossPass()).total,
            layer.flat_params,
            layer.flat_grads,
            repr(layer),
        )


# --- memories that are held ----------------------------------------------------------------------
@every_layer
def test_held_memory_equals_the_whole_pass(isa: str, dtype: Any, name: str) -> None:
    layer = make(name, dtype=dtype)
    query, memory, _ = problem(layer)
    context, weights = layer(query, memory, LENGTHS), layer.weights(query, memory, LENGTHS)
    held = layer.hold(memory, LENGTHS)
    memory[:] = np.nan  # it is a copy
    limit = RELATIVE_ERROR[layer.dtype]
    for t in range(len(query)):
        for rows in (None, [0, 1, 2, 3, 4], [3, 3, 0, 2, 3, 3]):
            chosen = np.arange(5) if rows is None else rows
            got, of_heads = held.read(query[t][chosen], rows)
            np.testing.assert_allclose(got, context[t][chosen], rtol=0, atol=10 * limit)
            mean = weights[t][chosen].mean(axis=1)
            np.testing.assert_allclose(of_heads, mean, rtol=0, atol=10 * limit)


def test_a_query_of_a_held_memory_does_not_depend_on_the_others() -> None:
    layer = make("general, projected")
    query, memory, _ = problem(layer)
    held = layer.hold(memory, LENGTHS)
    rows = np.array([3, 0, 0, 0, 1, 3, 0, 2])
    queries = query.reshape(-1, layer.query_size)[: len(rows)]
    together = held.read(queries, rows)
    for n, row in enumerate(rows):
        alone = held.read(queries[n : n + 1], [row])
        for got, wanted in zip(alone, together, strict=True):
            np.testing.assert_array_equal(got[0], wanted[n])


def test_held_memory_of_no_queries() -> None:
    held = make("general").hold(inputs(3, 2, 19))
    context, weights = held.read(np.zeros((0, 21), np.float32), np.zeros(0, np.int64))
    assert context.shape == (0, 19)
    assert weights.shape == (0, 3)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda h: pickle.loads(pickle.dumps(h))])
def test_copies_of_a_held_memory(duplicate: Any) -> None:
    layer = make("additive")
    query, memory, _ = problem(layer)
    held = layer.hold(memory, LENGTHS)
    for got, wanted in zip(duplicate(held).read(query[0]), held.read(query[0]), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_a_held_memory_ends_with_the_parameters() -> None:
    layer = make("general")
    held = layer.hold(inputs(3, 2, 19))
    layer.flat_params *= 2
    for use in (lambda: held.read(inputs(2, 21)), lambda: copy.copy(held)):
        with pytest.raises(ValueError, match=r"memory: expected one held with the present"):
            use()


# --- options -------------------------------------------------------------------------------------
@every_layer
def test_files_copies_and_configuration(name: str, tmp_path: Path) -> None:
    layer = make(name)
    query, memory, _ = problem(layer)
    expected = layer(query, memory, LENGTHS)
    rc.save(layer, tmp_path / "layer")
    for again in (
        rc.load(tmp_path / "layer"),
        copy.deepcopy(layer),
        pickle.loads(pickle.dumps(layer)),
    ):
        assert again.config() == layer.config()
        np.testing.assert_array_equal(again(query, memory, LENGTHS), expected)
    fresh = rc.Attention.from_config(layer.config())
    fresh.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(fresh(query, memory, LENGTHS), expected)


def test_parameters_and_their_distribution() -> None:
    layer = rc.Attention(30, 50, score="additive", attention_size=40, rng=0)
    shapes = {name: value.shape for name, value in layer.params.items()}
    assert shapes == {
        "v": (40,),
        "query_projection.weight": (40, 30),
        "query_projection.bias": (40,),
        "key_projection.weight": (40, 50),
    }
    for name, fan in (("v", 40), ("query_projection.weight", 30), ("key_projection.weight", 50)):
        assert 0.8 * fan**-0.5 < np.abs(layer.params[name]).max() <= fan**-0.5
    before = layer.flat_params.copy()
    layer.reset_parameters(rng=1)
    assert all((layer.flat_params[i] != before[i]).any() for i in (slice(40), slice(40, None)))
    assert not rc.Attention(4, 4, score="dot").params
    assert list(rc.Attention(4, 6).params) == ["key_projection.weight"]


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"query_size": 0}, ValueError, "query_size: expected at least 1, got 0"),
    ({"memory_size": "8"}, TypeError, "memory_size: expected an integer"),
    ({"score": "luong"}, ValueError, r"score: expected one of .*'general'.*got 'luong'"),
    ({"score": None}, TypeError, "score: expected one of"),
    ({"score": "dot"}, ValueError, "query_size: expected memory_size .*8 and 6"),
    (
        {"score": "dot", "memory_size": 8, "attention_size": 8},
        ValueError,
        "attention_size: expected None for score 'dot'",
    ),
    ({"attention_size": 0}, ValueError, "attention_size: expected at least 1"),
    ({"num_heads": 4}, ValueError, "num_heads: expected a divisor of .*8 and memory_size=6, got 4"),
    ({"num_heads": 0}, ValueError, "num_heads: expected at least 1"),
    ({"scaled": 1}, TypeError, "scaled: expected True or False"),
    ({"score": "additive", "scaled": True}, ValueError, "scaled: expected False .*'additive'"),
    ({"compute": "bfloat16", "dtype": np.float64}, ValueError, "compute: 'bfloat16' needs"),
    ({"heads": 2}, TypeError, "heads: no option of Attention; did you mean num_heads"),
]


@pytest.mark.parametrize(("options", "error", "text"), BAD, ids=[str(o) for o, *_ in BAD])
def test_bad_options(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        rc.Attention(**{"query_size": 8, "memory_size": 6, **options})


def test_bad_input() -> None:
    layer = make("additive")
    query, memory, dcontext = problem(layer)
    held = layer.hold(memory)
    _, cache = layer.forward(query, memory)
    many: list[tuple[Any, type[Exception], tuple[str, ...]]] = [
        (lambda: layer(query.astype(float), memory), TypeError, ("query", "float32", "float64")),
        (lambda: layer(query[..., 1:], memory), ValueError, ("query", "21", "20")),
        (lambda: layer(query[:, 1:], memory), ValueError, ("query", "5", "4")),
        (lambda: layer(query, memory[0]), ValueError, ("memory", "[S, B, 19]", "(5, 19)")),
        (lambda: layer(query, memory, [18] * 5), ValueError, ("lengths", "T=17", "18")),
        (lambda: layer(query, memory, [3] * 4), ValueError, ("lengths", "(4,)")),
        (lambda: layer(query, memory, [0.5] * 5), TypeError, ("lengths", "integers")),
        (lambda: layer(query, memory, None, [6] * 5), ValueError, ("query_lengths", "T=5", "6")),
        (lambda: layer.backward(dcontext[1:], cache), ValueError, ("dcontext", "5")),
        (lambda: layer.backward(dcontext.astype(float), cache), TypeError, ("dcontext",)),
        (lambda: layer.backward(dcontext, None), TypeError, ("cache",)),
        (lambda: make("additive").backward(dcontext, cache), ValueError, ("another layer",)),
        (lambda: layer.hold(memory[..., 1:]), ValueError, ("memory", "19")),
        (lambda: held.read(query), ValueError, ("query", "[N, 21]")),
        (lambda: held.read(query[0], [0] * 4), ValueError, ("rows", "5")),
        (lambda: held.read(query[0], [0, 1, 2, 3, 5]), ValueError, ("rows", "5 at [4]")),
        (lambda: held.read(query[0], [0.0] * 5), TypeError, ("rows", "integers")),
    ]
    for call, error, words in many:
        refuses(layer, call, error, *words)
    layer.flat_params *= 2
    refuses(layer, lambda: layer.backward(dcontext, cache), ValueError, "parameters")


def test_memory_that_there_is_not() -> None:
    """Sizes of an array may be huge where its strides are zero."""
    layer = make("dot")
    huge = np.broadcast_to(np.float32(1), (1 << 40, 2, 24))
    small = inputs(3, 2, 24)
    for query, memory in ((huge, small), (small, huge)):
        with pytest.raises(MemoryError):
            layer(query, memory)


def test_sets_agree() -> None:
    layer = make("additive of heads")
    query, memory, dcontext = problem(layer)
    answers = []
    for isa in ("reference", *_core.available_isas()):
        with selected(isa):
            answers.append(solve(layer, query, memory, LENGTHS, QUERY_LENGTHS, dcontext))
    for other in answers[1:]:
        assert_close(other, answers[0], 1e-5)
