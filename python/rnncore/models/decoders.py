"""Decoders of `Seq2Seq`: what the writing half computes over all steps, and in one step.

E embedding, H hidden, M memory, W output of the decoder; S source steps, T target steps, N rows
that are decoded, each of which reads the memory of one sequence.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NamedTuple

from rnncore._check import Array, Ids, size
from rnncore.layers import (
    Attention,
    AttentionRNN,
    Concatenate,
    LastOutput,
    Linear,
    Module,
    Repeat,
    Tanh,
    recurrent,
)
from rnncore.models.passes import Pass
from rnncore.models.tape import arrays_of

__all__ = [
    "ATTENDING",
    "DECODERS",
    "Decoder",
    "Encoded",
    "Step",
    "decoder_depth",
    "require_attention_options",
]


class Encoded(NamedTuple):
    """What a decoder knows of the sources: values of a pass, or arrays."""

    memory: Any  # [S,B,M]
    lengths: Ids  # [B], of the memory
    state: Any  # initial state of the decoder; None is zero


class Step(NamedTuple):
    """One step of a decoder."""

    y: Array  # [N,W]
    state: Any
    attention: Array | None  # [N,S], None without attention


class Readout(Module):
    """``tanh(W [a, b, ...] + b)``: what the output layer is given."""

    def __init__(self, input_size: int, output_size: int, **options: Any) -> None:
        super().__init__(options["dtype"], options["rng"])
        self.join = Concatenate()
        self.linear = Linear(input_size, output_size, **options)
        self.tanh = Tanh()

    def compute(self, run: Pass, *parts: Any) -> Any:
        """Concatenation, linear layer and tanh."""
        joined = run(self.join, *parts) if len(parts) > 1 else parts[0]
        return run(self.tanh, run(self.linear, joined))


class Decoder(Module):
    """Base of the decoders; a subclass says what all steps compute, and what one does."""

    @abstractmethod
    def compute(self, run: Pass, x: Any, encoded: Encoded, lengths: Ids) -> Any:
        """Return y [T,B,W] for embedded targets x [T,B,E] of some lengths [B]."""

    @abstractmethod
    def packed(self, weight_format: str | None) -> Any:
        """Return the parameters in the form that steps need, for many batches."""

    @abstractmethod
    def hold(self, packed: Any, encoded: Encoded) -> Any:
        """Return what all steps over some sources need."""

    def start(self, encoded: Encoded) -> Any:
        """Return the state before the first step."""
        return encoded.state

    @abstractmethod
    def step(self, held: Any, x: Array, state: Any, rows: Ids) -> Step:
        """Take one step of N rows, with inputs x [N,E]; row n reads sequence ``rows[n]``."""


class StateDecoder(Decoder):
    """The source is the initial state alone (Sutskever, Vinyals and Le 2014, arXiv 1409.3215)."""

    def __init__(self, sizes: Any, options: dict[str, Any], shared: dict[str, Any]) -> None:
        super().__init__(shared["dtype"], shared["rng"])
        self.rnn = recurrent(
            sizes.cell,
            sizes.embedding + self._context_size(sizes),
            sizes.hidden,
            sizes.layers,
            **options,
            **shared,
        )
        width = self._readout_size(sizes)
        self.readout = Readout(width, sizes.output, **shared) if width else None

    def _context_size(self, sizes: Any) -> int:
        """Return how much of a context the recurrent layers read."""
        return 0

    def _readout_size(self, sizes: Any) -> int:
        """Return how much the readout reads; 0: there is none."""
        return 0 if sizes.hidden == sizes.output else int(sizes.hidden)

    def _output(self, run: Pass, *parts: Any) -> Any:
        return parts[0] if self.readout is None else self.readout.compute(run, *parts)

    def compute(self, run: Pass, x: Any, encoded: Encoded, lengths: Ids) -> Any:
        """Recurrent layers over the targets."""
        y, _ = run(self.rnn, x, encoded.state, lengths=lengths)
        return self._output(run, y)

    def packed(self, weight_format: str | None) -> Any:
        """Return the recurrent layers with packed weights."""
        return self.rnn.hold(weight_format)

    def hold(self, packed: Any, encoded: Encoded) -> Any:
        """Return the packed layers."""
        return packed

    def step(self, held: Any, x: Array, state: Any, rows: Ids) -> Step:
        """One step of the recurrent layers."""
        y, state = held.step(x, state)
        return Step(self._output(Pass(), y), state, None)


class ContextDecoder(StateDecoder):
    """The last output of the encoder is read in every step and by the output (Cho et al. 2014).

    arXiv 1406.1078, without the maxout of its output layer.
    """

    def __init__(self, sizes: Any, options: dict[str, Any], shared: dict[str, Any]) -> None:
        super().__init__(sizes, options, shared)
        self.last = LastOutput(bidirectional=sizes.bidirectional)
        self.repeat = Repeat()
        self.join = Concatenate()

    def _context_size(self, sizes: Any) -> int:
        return int(sizes.memory)

    def _readout_size(self, sizes: Any) -> int:
        return int(sizes.hidden + sizes.memory)

    def compute(self, run: Pass, x: Any, encoded: Encoded, lengths: Ids) -> Any:
        """Recurrent layers over targets with the context, which the output reads too."""
        last = run(self.last, encoded.memory, lengths=encoded.lengths)
        context = run(self.repeat, last, num_steps=len(arrays_of(x)))
        y, _ = run(self.rnn, run(self.join, x, context), encoded.state, lengths=lengths)
        return self._output(run, y, context)

    def hold(self, packed: Any, encoded: Encoded) -> Any:
        """Return the packed layers, and the context of each sequence."""
        return packed, self.last(encoded.memory, encoded.lengths)

    def step(self, held: Any, x: Array, state: Any, rows: Ids) -> Step:
        """One step of the recurrent layers and the output."""
        rnn, contexts = held
        context = contexts[rows]
        y, state = rnn.step(self.join(x, context), state)
        return Step(self._output(Pass(), y, context), state, None)


class AttentionDecoder(StateDecoder):
    """Recurrent layers, and attention from all of their outputs at once.

    ``tanh(W [y, context])`` is what the output layer reads (Luong, Pham and Manning 2015, arXiv
    1508.04025, section 3.1): no step waits for the context of the step before.
    """

    def __init__(self, sizes: Any, options: dict[str, Any], shared: dict[str, Any]) -> None:
        super().__init__(sizes, options, shared)
        self.attention = Attention(sizes.hidden, sizes.memory, **sizes.attention, **shared)

    def _readout_size(self, sizes: Any) -> int:
        return int(sizes.hidden + sizes.memory)

    def compute(self, run: Pass, x: Any, encoded: Encoded, lengths: Ids) -> Any:
        """Recurrent layers, attention over all steps, and their joint output."""
        y, _ = run(self.rnn, x, encoded.state, lengths=lengths)
        context = run(self.attention, y, encoded.memory, lengths=encoded.lengths)
        return self._output(run, y, context)

    def hold(self, packed: Any, encoded: Encoded) -> Any:
        """Return the packed layers, and the memory with its keys."""
        return packed, self.attention.hold(encoded.memory, encoded.lengths)

    def step(self, held: Any, x: Array, state: Any, rows: Ids) -> Step:
        """One step of the recurrent layers, which then attends to the memory."""
        rnn, memory = held
        y, state = rnn.step(x, state)
        context, weights = memory.read(y, rows)
        return Step(self._output(Pass(), y, context), state, weights)


class FeedingDecoder(Decoder):
    """`AttentionRNN`: each step reads what the step before has attended to."""

    _feeding = "input"

    def __init__(self, sizes: Any, options: dict[str, Any], shared: dict[str, Any]) -> None:
        super().__init__(shared["dtype"], shared["rng"])
        conditional = self._feeding == "conditional"
        self.rnn = AttentionRNN(
            sizes.embedding,
            sizes.hidden,
            sizes.memory,
            cell=sizes.cell,
            feeding=self._feeding,
            output_context=conditional,
            **sizes.attention,
            **options["cell_options"],
            **shared,
        )
        width = sizes.hidden + sizes.memory * conditional
        needed = width != sizes.output
        self.readout = Readout(width, sizes.output, **shared) if needed else None

    def compute(self, run: Pass, x: Any, encoded: Encoded, lengths: Ids) -> Any:
        """The layer, over the targets and the memory."""
        ends = {"lengths": lengths, "memory_lengths": encoded.lengths}
        y, _ = run(self.rnn, x, encoded.memory, self._initial(encoded.state), **ends)
        return y if self.readout is None else self.readout.compute(run, y)

    def _initial(self, state: Any) -> Any:
        """Return the state before the first step; what was attended to there is zero."""
        if state is None or self._feeding == "conditional":
            return state
        return (*state, None) if isinstance(state, tuple) else (state, None)

    def packed(self, weight_format: str | None) -> Any:
        """Return the layer, frozen; its weights keep their type."""
        return self.rnn.frozen()

    def hold(self, packed: Any, encoded: Encoded) -> Any:
        """Return the memory with its keys."""
        return packed.hold(encoded.memory, encoded.lengths)

    def start(self, encoded: Encoded) -> Any:
        """Return the initial state, of arrays [B,H]."""
        return self._initial(encoded.state)

    def step(self, held: Any, x: Array, state: Any, rows: Ids) -> Step:
        """One step of the layer."""
        y, state, weights = held.step(x, state, rows)
        return Step(y if self.readout is None else self.readout.compute(Pass(), y), state, weights)


class ConditionalDecoder(FeedingDecoder):
    """`AttentionRNN` of Bahdanau and nematus: attention stands between two steps of the cell."""

    _feeding = "conditional"


#: Class of each kind.
DECODERS: dict[str, Any] = {
    "attention": AttentionDecoder,
    "input_feeding": FeedingDecoder,
    "conditional": ConditionalDecoder,
    "fixed": ContextDecoder,
    "state": StateDecoder,
}

#: Those whose steps wait for the attention of the step before: they have one layer.
_FEEDING = ("input_feeding", "conditional")
ATTENDING = ("attention", *_FEEDING)
_OPTIONS: dict[str, Any] = {"score": "general", "attention_size": None, "num_heads": 1}


def require_attention_options(context: str, options: dict[str, Any]) -> None:
    """Raise ValueError where an option of attention is given to a decoder without it."""
    for name, value in options.items():
        if context not in ATTENDING and value != _OPTIONS[name]:
            raise ValueError(f"{name}: no option of context={context!r}, got {value!r}")


def decoder_depth(context: str, num_layers: int, given: int | None) -> int:
    """Return the number of a decoder's layers: what is given, or that of the encoder.

    Raises
    ------
    TypeError, ValueError
        If it is none, or more than the decoder can have.
    """
    if given is not None and size("decoder_layers", given) > 1 and context in _FEEDING:
        raise ValueError(f"decoder_layers: expected 1 for context={context!r}, got {given}")
    if given is None:
        return 1 if context in _FEEDING else size("num_layers", num_layers)
    return given
