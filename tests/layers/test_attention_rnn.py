"""AttentionRNN: outputs, states, weights and every gradient against the float64 twin."""

import copy
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from attention_rnn_twin import DecoderTwin
from many_threads import threads
from problems import RELATIVE_ERROR, assert_close, assert_same_bits, representable

Array = NDArray[Any]
Answers = dict[str, Array]

STEPS, SOURCE, BATCH, INPUT, HIDDEN, MEMORY = 6, 5, 4, 3, 6, 4
LENGTHS = (4, 1, 6, 0)  # any order, one row of full length, one empty
MEMORY_LENGTHS = (5, 0, 2, 3)

CELLS = {
    "rnn_tanh": {"cell": "rnn"},
    "rnn_relu": {"cell": "rnn", "nonlinearity": "relu"},
    "gru_after": {"cell": "gru"},
    "gru_before": {"cell": "gru", "reset": "before"},
    "lstm": {"cell": "lstm"},
}
SCORES: dict[str, dict[str, Any]] = {
    "general": {},
    "projected": {"score": "general", "attention_size": 8, "num_heads": 2, "scaled": True},
    "dot": {"score": "dot"},
    "additive": {"score": "additive", "attention_size": 5},
    "additive heads": {"score": "additive", "num_heads": 2},
}
FEEDINGS = ("input", "conditional")


@dataclass(frozen=True)
class Case:
    """A layer, and one pass through it."""

    options: dict[str, Any]
    twin: DecoderTwin
    params: Answers
    x: Array
    memory: Array
    dy: Array
    state: tuple[Array, ...]
    dstate: tuple[Array, ...]
    lengths: tuple[int, ...]
    memory_lengths: tuple[int, ...]
    sizes: tuple[int, int, int]

    @classmethod
    def make(
        cls,
        cell: str = "gru_after",
        feeding: str = "input",
        score: str = "general",
        *,
        sizes: tuple[int, int, int, int, int] = (INPUT, HIDDEN, MEMORY, STEPS, SOURCE),
        lengths: tuple[int, ...] = LENGTHS,
        memory_lengths: tuple[int, ...] = MEMORY_LENGTHS,
        seed: int = 0,
        **options: Any,
    ) -> "Case":
        rng = np.random.default_rng(seed)
        num_inputs, hidden, width, steps, source = sizes
        if score == "dot":
            width = hidden
        options = {"feeding": feeding, **CELLS[cell], **SCORES[score], **options}
        layer = rc.AttentionRNN(num_inputs, hidden, width, dtype=np.float64, rng=0, **options)
        attention = layer.attention
        twin = DecoderTwin(
            cell,
            feeding,
            attention.score,
            attention.query_projection is not None,
            attention.num_heads,
            (attention.num_heads / attention.key_size) ** 0.5 if attention.scaled else 1.0,
            layer.bias,
            layer.output_context,
        )
        # Small enough that gates do not saturate, see problems.Problem.
        scale = 0.7 / np.sqrt(hidden)
        params = {
            name: representable(rng, *value.shape, scale=scale)
            for name, value in layer.params.items()
        }
        batch = len(lengths)
        states = [
            tuple(representable(rng, batch, hidden) for _ in layer.state_names) for _ in range(2)
        ]
        return cls(
            options,
            twin,
            params,
            representable(rng, steps, batch, num_inputs),
            representable(rng, source, batch, width),
            representable(rng, steps, batch, layer.output_size),
            states[0],
            states[1],
            lengths,
            memory_lengths,
            (num_inputs, hidden, width),
        )

    def layer(self, dtype: str = "float32", **options: Any) -> rc.AttentionRNN:
        layer = rc.AttentionRNN(*self.sizes, dtype=dtype, rng=0, **self.options, **options)
        layer.load_state_dict(self.params)
        return layer

    def inputs(self, dtype: Any) -> tuple[Any, ...]:
        """x, memory and state as the layer takes them."""
        return self.x.astype(dtype), self.memory.astype(dtype), public(self.state, dtype)

    def lengths_of_both(self) -> dict[str, Any]:
        return {"lengths": self.lengths, "memory_lengths": self.memory_lengths}

    def solve(self, layer: rc.AttentionRNN) -> Answers:
        dtype = layer.dtype
        y, final, cache = layer.forward(*self.inputs(dtype), **self.lengths_of_both())
        layer.zero_grad()
        dx, dmemory, dinitial = layer.backward(
            self.dy.astype(dtype), cache, public(self.dstate, dtype)
        )
        weights = layer.weights(*self.inputs(dtype), **self.lengths_of_both())
        return named(y, parts(final), weights, dx, dmemory, parts(dinitial), layer.grads)

    def expected(self) -> Answers:
        lengths = list(self.lengths), list(self.memory_lengths)
        y, final, weights, saved = self.twin.forward(
            self.params, self.x, self.memory, self.state, *lengths
        )
        dx, dmemory, dinitial, grads = self.twin.backward(
            self.params, self.dy, (self.x, self.memory), saved, self.dstate
        )
        return named(y, final, weights, dx, dmemory, dinitial, grads)


def parts(state: Any) -> Any:
    return state if isinstance(state, tuple) else (state,)


def public(state: tuple[Array, ...], dtype: Any) -> Any:
    arrays = tuple(a.astype(dtype) for a in state)
    return arrays if len(arrays) > 1 else arrays[0]


def named(
    y: Any, final: Any, weights: Any, dx: Any, dmemory: Any, dstate: Any, grads: Any
) -> Answers:
    answers = {"y": y, "weights": weights, "dx": dx, "dmemory": dmemory}
    answers |= {f"final {i}": s for i, s in enumerate(final)}
    answers |= {f"initial gradient {i}": s for i, s in enumerate(dstate)}
    return answers | {f"gradient of {name}": np.array(g) for name, g in grads.items()}


@pytest.mark.parametrize("feeding", FEEDINGS)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("score", SCORES)
def test_layer_equals_twin(cell: str, feeding: str, score: str) -> None:
    for bias, output_context in ((True, False), (False, True)):
        case = Case.make(cell, feeding, score, bias=bias, output_context=output_context)
        expected = case.expected()
        for dtype, limit in RELATIVE_ERROR.items():
            assert_close(case.solve(case.layer(dtype)), expected, limit)


# Sizes that fill several vectors and leave a rest, and more rows than one chunk of time holds.
WIDE: dict[str, Any] = {
    "sizes": (19, 36, 34, 12, 17),
    "lengths": tuple((7 * b + 9) % 13 for b in range(61)),
    "memory_lengths": tuple((5 * b + 3) % 18 for b in range(61)),
}


@pytest.mark.parametrize("feeding", FEEDINGS)
@pytest.mark.parametrize(
    ("cell", "score"), [("gru_after", "general"), ("lstm", "additive heads"), ("rnn_tanh", "dot")]
)
def test_wide_layer_equals_twin(isa: str, cell: str, feeding: str, score: str) -> None:
    case = Case.make(cell, feeding, score, output_context=True, **WIDE)
    expected = case.expected()
    for dtype, limit in RELATIVE_ERROR.items():
        # float32: sums over some 400 rows and 12 steps, four times what a small layer sums
        assert_close(case.solve(case.layer(dtype)), expected, 4 * limit)


@pytest.mark.parametrize("feeding", FEEDINGS)
@pytest.mark.parametrize("score", ["general", "additive"])
@pytest.mark.parametrize("compute", [None, "bfloat16"])
def test_bits_do_not_depend_on_threads(feeding: str, score: str, compute: str | None) -> None:
    # enough work for three threads
    wide = WIDE | {"sizes": (40, 96, 64, 12, 17)}
    case = Case.make("gru_after", feeding, score, **wide)
    answers = []
    for number in (1, 2, 3):
        with threads(number):
            answers.append(case.solve(case.layer(compute=compute)))
    for other in answers[1:]:
        assert_same_bits(other, answers[0])


@pytest.mark.parametrize("feeding", FEEDINGS)
def test_bfloat16_rounds_operands(feeding: str) -> None:
    case = Case.make("lstm", feeding, "additive", **WIDE)
    got, exact = case.solve(case.layer(compute="bfloat16")), case.solve(case.layer())
    assert any(got[name].tobytes() != exact[name].tobytes() for name in got)
    # operands have 8 significant bits, 2^-9 = 0.002; a dozen steps and sums of random signs
    assert_close(got, {name: a.astype(np.float64) for name, a in exact.items()}, 0.05)


@pytest.mark.parametrize("feeding", FEEDINGS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inference_equals_training_pass(dtype: str, feeding: str) -> None:
    for cell, score in (("lstm", "additive"), ("rnn_relu", "general"), ("gru_before", "dot")):
        case = Case.make(cell, feeding, score, output_context=True)
        layer = case.layer(dtype)
        y, final, _ = layer.forward(*case.inputs(dtype), **case.lengths_of_both())
        other, other_final = layer(*case.inputs(dtype), **case.lengths_of_both())
        np.testing.assert_array_equal(other, y)
        for one, two in zip(parts(other_final), parts(final), strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("feeding", FEEDINGS)
def test_padding_is_not_read(feeding: str) -> None:
    """What lies past the ends may be anything: NaN would spread."""
    case = Case.make("lstm", feeding, "additive")
    layer = case.layer()
    expected = case.solve(layer)
    x, memory, dy = case.x.copy(), case.memory.copy(), case.dy.copy()
    for b in range(BATCH):
        x[case.lengths[b] :, b] = dy[case.lengths[b] :, b] = np.nan
        memory[case.memory_lengths[b] :, b] = np.nan
    spoiled = Case(**{**vars(case), "x": x, "memory": memory, "dy": dy})
    assert_same_bits(spoiled.solve(layer), expected)


@pytest.mark.parametrize("feeding", FEEDINGS)
def test_sequence_does_not_depend_on_the_others(feeding: str) -> None:
    """Each sequence alone, without lengths, is what it is in a ragged batch, up to rounding."""
    case = Case.make("gru_after", feeding, "general")
    layer = case.layer("float64")
    x, memory, state = case.inputs(np.float64)
    y, final = layer(x, memory, state, **case.lengths_of_both())
    for b, (steps, source) in enumerate(zip(case.lengths, case.memory_lengths, strict=True)):
        own = tuple(s[b : b + 1] for s in parts(state))
        alone, own_final = layer(
            x[:steps, b : b + 1], memory[:source, b : b + 1], own if len(own) > 1 else own[0]
        )
        np.testing.assert_allclose(y[:steps, b], alone[:, 0], rtol=1e-12, atol=1e-14)
        assert not y[steps:, b].any()
        for whole, part in zip(parts(final), parts(own_final), strict=True):
            np.testing.assert_allclose(whole[b], part[0], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("feeding", FEEDINGS)
@pytest.mark.parametrize("score", SCORES)
def test_gradients_by_finite_differences(feeding: str, score: str) -> None:
    case = Case.make("gru_after", feeding, score, output_context=True)
    layer = case.layer("float64")
    x, memory, state = case.inputs(np.float64)
    arrays = {"x": x, "memory": memory, "params": layer.flat_params}
    arrays |= {f"state {i}": s for i, s in enumerate(parts(state))}

    def loss() -> float:
        layer.mark_changed()
        y, final = layer(x, memory, state, **case.lengths_of_both())
        inner = sum((f * d).sum() for f, d in zip(parts(final), case.dstate, strict=True))
        return float((y * case.dy).sum() + inner)

    _, _, cache = layer.forward(x, memory, state, **case.lengths_of_both())
    dx, dmemory, dinitial = layer.backward(case.dy, cache, public(case.dstate, np.float64))
    gradients = {"x": dx, "memory": dmemory, "params": layer.flat_grads.copy()}
    gradients |= {f"state {i}": s for i, s in enumerate(parts(dinitial))}
    rng = np.random.default_rng(3)
    step = 1e-6
    for name, array in arrays.items():
        for i in rng.choice(array.size, 25):
            at = np.unravel_index(i, array.shape)
            before = array[at]
            losses = []
            for value in (before + step, before - step):
                array[at] = value
                losses.append(loss())
            array[at] = before
            # the error of central differences is about step^2 and rounding of losses over step
            assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(
                gradients[name][at], abs=1e-7
            ), (name, at)


@pytest.mark.parametrize("feeding", FEEDINGS)
@pytest.mark.parametrize("cell", ["gru_after", "lstm"])
@pytest.mark.parametrize("score", ["general", "additive"])
def test_layer_equals_loop_in_torch(cell: str, feeding: str, score: str) -> None:
    torch = pytest.importorskip("torch")
    case = Case.make(cell, feeding, score, lengths=(STEPS,) * BATCH, memory_lengths=(5, 1, 2, 3))
    layer = case.layer("float64")
    tensors = {n: torch.tensor(v, requires_grad=True) for n, v in case.params.items()}
    x, memory = (torch.tensor(a, requires_grad=True) for a in (case.x, case.memory))
    initial = [torch.tensor(a, requires_grad=True) for a in case.state]
    step = torch.gru_cell if cell == "gru_after" else torch.lstm_cell

    def run_cell(part: str, inputs: Any, state: list[Any]) -> list[Any]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        weights = [tensors[f"{part}.{name}_l0"] for name in names]
        result = step(inputs, state if len(state) > 1 else state[0], *weights)
        return list(result) if len(state) > 1 else [result]

    def attend(query: Any) -> Any:
        keys = memory @ tensors["attention.key_projection.weight"].T
        if score == "additive":
            weight, bias = (f"attention.query_projection.{name}" for name in ("weight", "bias"))
            query = query @ tensors[weight].T + tensors[bias]
            scores = torch.tanh(query + keys) @ tensors["attention.v"]
        else:
            scores = (query * keys).sum(-1)
        past = torch.arange(SOURCE)[:, None] >= torch.tensor(case.memory_lengths)
        weights = torch.softmax(scores.masked_fill(past, -torch.inf), 0)
        return (weights[..., None] * memory).sum(0)

    state, outputs = initial, []
    for t in range(STEPS):
        if feeding == "input":
            inner = run_cell("rnn", torch.cat([x[t], state[-1]], 1), state[:-1])
            joint = torch.cat([attend(inner[0]), inner[0]], 1)
            a = torch.tanh(joint @ tensors["combine.weight"].T + tensors["combine.bias"])
            state = [*inner, a]
            outputs.append(a)
        else:
            inner = run_cell("rnn", x[t], state)
            state = run_cell("context_rnn", attend(inner[0]), inner)
            outputs.append(state[0])
    y = torch.stack(outputs)
    loss = (y * torch.tensor(case.dy)).sum()
    for final, gradient in zip(state, case.dstate, strict=True):
        loss = loss + (final * torch.tensor(gradient)).sum()
    loss.backward()
    got = case.solve(layer)
    del got["weights"]
    expected = named(
        y.detach().numpy(),
        [s.detach().numpy() for s in state],
        None,
        x.grad.numpy(),
        memory.grad.numpy(),
        [s.grad.numpy() for s in initial],
        {name: tensor.grad.numpy() for name, tensor in tensors.items()},
    )
    del expected["weights"]
    assert_close(got, expected, RELATIVE_ERROR["float64"])


@pytest.mark.parametrize("feeding", FEEDINGS)
@pytest.mark.parametrize("lengths", [None, (3, 2)])
def test_no_steps_or_sequences(feeding: str, lengths: Any) -> None:
    layer = Case.make(feeding=feeding).layer()
    state = tuple(np.ones((2, HIDDEN), np.float32) for _ in layer.state_names)
    given = state if len(state) > 1 else state[0]
    for steps, source, batch in ((0, 4, 2), (4, 0, 2), (3, 3, 0)):
        x = np.ones((steps, batch, INPUT), np.float32)
        memory = np.ones((source, batch, MEMORY), np.float32)
        ends = lengths if steps and batch else None
        y, final, cache = layer.forward(x, memory, given if batch else None, lengths=ends)
        assert y.shape == (steps, batch, HIDDEN)
        dx, dmemory, dstate = layer.backward(np.ones_like(y), cache)
        assert dx.shape == x.shape
        assert dmemory.shape == memory.shape
        assert [d.shape for d in parts(dstate)] == [(batch, HIDDEN)] * len(state)
        if not steps:
            np.testing.assert_array_equal(parts(final)[0], state[0])
        assert layer.weights(x, memory).shape == (steps, batch, 1, source)


def test_parts_of_a_state() -> None:
    """None is zero; the state of a recurrent layer [1,B,H] is taken, and its gradient is alike."""
    case = Case.make("lstm")
    layer = case.layer("float64")
    x, memory, (h, c, a) = case.inputs(np.float64)
    expected, _ = layer(x, memory, (h, c, np.zeros_like(a)))
    y, final, cache = layer.forward(x, memory, (h[np.newaxis], c, None))
    np.testing.assert_array_equal(y, expected)
    assert [s.shape for s in final] == [(BATCH, HIDDEN)] * 3
    _, _, dstate = layer.backward(case.dy, cache, (h, None, None))
    assert [d.shape for d in dstate] == [(1, BATCH, HIDDEN), (BATCH, HIDDEN), (BATCH, HIDDEN)]
    assert layer.state_names == ("h", "c", "a")
    assert Case.make("gru_after", "conditional").layer().state_names == ("h",)


@pytest.mark.parametrize("feeding", FEEDINGS)
def test_pieces_equal_the_whole(feeding: str) -> None:
    """The state of one call is where the next goes on, and the gradients add up."""
    case = Case.make("lstm", feeding, "additive", lengths=(STEPS,) * BATCH)
    layer = case.layer("float64")
    expected = case.solve(layer)
    x, memory, state = case.inputs(np.float64)
    ends = {"memory_lengths": case.memory_lengths}
    first, middle, first_cache = layer.forward(x[:2], memory, state, **ends)
    second, final, second_cache = layer.forward(x[2:], memory, middle, **ends)
    layer.zero_grad()
    dx2, dmemory2, dmiddle = layer.backward(
        case.dy[2:], second_cache, public(case.dstate, np.float64)
    )
    dx1, dmemory1, dinitial = layer.backward(case.dy[:2], first_cache, dmiddle)
    got = named(
        np.concatenate([first, second]),
        parts(final),
        expected["weights"],
        np.concatenate([dx1, dx2]),
        dmemory1 + dmemory2,
        parts(dinitial),
        layer.grads,
    )
    assert_close(got, expected, RELATIVE_ERROR["float64"])


def test_backward_adds_and_a_cache_is_reusable() -> None:
    case = Case.make()
    layer = case.layer("float64")
    _, _, cache = layer.forward(*case.inputs(np.float64), **case.lengths_of_both())
    layer.zero_grad()
    first = layer.backward(case.dy, cache)
    once = layer.flat_grads.copy()
    second = layer.backward(case.dy, cache)
    np.testing.assert_array_equal(first[1], second[1])
    np.testing.assert_allclose(layer.flat_grads, 2 * once, rtol=1e-13)
    only_state = layer.backward(None, cache, public(case.dstate, np.float64))
    assert only_state[0].any()


def test_cache_of_other_parameters_is_refused() -> None:
    case = Case.make()
    layer = case.layer("float64")
    for change in (
        layer.mark_changed,
        layer.rnn.mark_changed,
        lambda: layer.combine.params.__setitem__("bias", np.ones(HIDDEN)),
        layer.attention.key_projection.mark_changed,
    ):
        y, _, cache = layer.forward(*case.inputs(np.float64))
        change()
        with pytest.raises(ValueError, match="cache: expected one made with the present param"):
            layer.backward(y, cache)
    with pytest.raises(ValueError, match="another layer"):
        case.layer("float64").backward(y, cache)


def test_gradients_of_arrays_inside_the_gradients() -> None:
    """dy may be a view of the gradients that the pass writes."""
    case = Case.make(lengths=(STEPS,) * BATCH)
    layer = case.layer("float64")
    y, _, cache = layer.forward(*case.inputs(np.float64))
    layer.flat_grads[:] = np.random.default_rng(0).standard_normal(layer.num_params)
    view = layer.flat_grads[: y.size].reshape(y.shape)
    copy = view.copy()
    got = layer.backward(view, cache)
    layer.flat_grads[: y.size] = copy.ravel()
    for one, two in zip(got[:2], layer.backward(copy, cache)[:2], strict=True):
        np.testing.assert_array_equal(one, two)


def test_layouts_of_memory() -> None:
    """Arrays of any strides."""
    case = Case.make()
    layer = case.layer()
    x, memory, state = case.inputs(np.float32)
    expected, _ = layer(x, memory, state)
    strided = [np.asfortranarray(x), memory.swapaxes(0, 2).copy().swapaxes(0, 2)]
    reversed_states = tuple(s[::-1].copy()[::-1] for s in state)
    np.testing.assert_array_equal(layer(*strided, reversed_states)[0], expected)


def test_configuration_and_copies(tmp_path: Any) -> None:
    options = {"feeding": "conditional", "score": "additive", "attention_size": 4, "cell": "lstm"}
    layer = rc.AttentionRNN(3, 6, 4, output_context=True, **options, rng=0)
    assert layer.config() | options == layer.config()
    assert layer.output_size == 10
    assert [name.split(".")[0] for name in layer.params][-4:] == ["context_rnn"] * 4
    x, memory = np.ones((2, 1, 3), np.float32), np.ones((2, 1, 4), np.float32)
    rc.save(layer, tmp_path / "layer")
    loaded = rc.load(tmp_path / "layer")
    others = copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), loaded
    for other in others:
        assert repr(other) == repr(layer)
        np.testing.assert_array_equal(other(x, memory)[0], layer(x, memory)[0])
    assert rc.AttentionRNN(3, 6, 4, reset="before").config()["reset"] == "before"
    assert list(rc.AttentionRNN(3, 6, 4, bias=False).params) == [
        *("rnn.weight_ih_l0", "rnn.weight_hh_l0"),
        *("attention.key_projection.weight", "combine.weight"),
    ]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"feeding": "luong"}, ValueError, r"feeding: expected one of \['conditional', 'input'\]"),
        ({"cell": "elman"}, ValueError, "cell: expected one of"),
        ({"score": "cosine"}, ValueError, "score: expected one of"),
        ({"score": "dot"}, ValueError, "query_size: expected memory_size for score 'dot'"),
        ({"num_heads": 5}, ValueError, "num_heads: expected a divisor"),
        ({"output_context": 1}, TypeError, "output_context: expected True or False"),
        ({"reset": "never"}, ValueError, "reset: expected one of"),
        ({"cell": "lstm", "reset": "before"}, TypeError, "reset: no option of cell 'lstm'"),
        ({"hidden": 3}, TypeError, "hidden: no option of AttentionRNN"),
        ({"dtype": np.float64, "compute": "bfloat16"}, ValueError, "compute: 'bfloat16' needs"),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        rc.AttentionRNN(3, 6, 4, **options)


def test_bad_inputs() -> None:
    case = Case.make("lstm")
    layer = case.layer()
    x, memory, (h, c, a) = case.inputs(np.float32)
    for arguments, error, message in [
        ((x.astype(float), memory), TypeError, "x: expected float32"),
        ((x[:, 0], memory), ValueError, r"x: expected shape \[T, 4, 3\]"),
        ((x[:, :2], memory), ValueError, r"x: expected shape \[T, 4, 3\]"),
        ((x, memory[..., :2]), ValueError, r"memory: expected shape \[S, B, 4\]"),
        ((x, memory.astype(float)), TypeError, "memory: expected float32"),
        ((x, memory, (h, c)), TypeError, r"state: expected a tuple \(h, c, a\)"),
        ((x, memory, (h, c, a[:2])), ValueError, r"state \(a\): expected shape \[4, 6\]"),
        ((x, memory, (h, c.astype(float), a)), TypeError, r"state \(c\): expected float32"),
        ((x, memory, None, [7, 1, 1, 1]), ValueError, "lengths: expected values in"),
        ((x, memory, None, [1, 1]), ValueError, "lengths: expected shape"),
        ((x, memory, None, None, [6, 1, 1, 1]), ValueError, "memory_lengths: expected values in"),
        ((x, memory, None, None, [1.0] * 4), TypeError, "memory_lengths: expected integers"),
    ]:
        for call in (layer, layer.forward, layer.weights):
            with pytest.raises(error, match=message):
                call(*arguments)
    y, final, cache = layer.forward(x, memory)
    layer.zero_grad()
    for gradients, error, message in [
        ((y[:2], cache), ValueError, "dy: expected shape"),
        ((y.astype(float), cache), TypeError, "dy: expected float32"),
        ((y, None), TypeError, "cache: expected the Cache"),
        ((y, cache, final[:2]), TypeError, r"dstate: expected a tuple \(h, c, a\)"),
    ]:
        with pytest.raises(error, match=message):
            layer.backward(*gradients)
    assert not layer.flat_grads.any()
