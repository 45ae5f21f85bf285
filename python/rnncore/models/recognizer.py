"""What recognizers of speech share: symbols, features, recurrent layers, and a head per frame."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rnncore._check import Array, describe, instance, size
from rnncore._keywords import strict_keywords
from rnncore.audio import Features, Recording
from rnncore.audio.manifest import read_features
from rnncore.ctc import Transcript
from rnncore.data import Batch, TranscribedBatches, split_shuffled
from rnncore.layers import Dropout, recurrent, require_cell_options
from rnncore.models.inputs import vector_sequence
from rnncore.models.model import Model
from rnncore.models.passes import Pass
from rnncore.models.recognizer_stream import RecognizerStream
from rnncore.models.symbols import label_ids, symbol_names
from rnncore.training import TrainingConfig, TrainingResult, fit

__all__ = ["Recognizer"]

_READ_AT_ONCE = 16


class Recognizer(Model):
    """Base of models that give symbols to the frames of recordings.

    ``y = cell(x)``, ``p[t] = softmax(W dropout(y[t]) + b)``. Sequences are features [T,I] as arrays
    or ``.npy`` files; where the model has `features`, also recordings: paths, `audio.Recording`, or
    samples [N].

    Parameters
    ----------
    symbols : list of str
        Names of the symbols, such as phones.
    input_size : int or None
        Width I of the features; None: that of `features`.
    features : audio.Features or None
        What is computed from recordings; it is saved with the model.
    separator : {" ", ""}
        What stands between the symbols of a text: a blank, or nothing, where they are characters.
    cell : {"lstm", "gru", "rnn"}
        Kind of recurrent layer.
    hidden_size : int
        Units H of each recurrent layer and direction.
    num_layers : int
        Number of recurrent layers.
    bidirectional : bool
        Whether a second network reads the frames from their end, which live audio does not have.
    dropout : float
        Probability of dropping an element of what one recurrent layer gives to the next, and of the
        input of the output layer.
    dtype : float32 or float64
        Type of the parameters.
    compute : "bfloat16" or None
        What the operands of products are rounded to, see `RNN`.
    rng : numpy Generator, int or None
        Source of the initial parameters and of dropout.
    **cell_options
        Of the one cell: ``nonlinearity`` of "rnn", ``reset`` of "gru".

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.
    """

    #: Id of the blank, which no symbol has; None: there is none.
    blank: ClassVar[int | None] = None
    #: Whether every frame has a target of its own.
    per_step: ClassVar[bool] = False

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        input_size: int | None = None,
        features: Features | None = None,
        separator: str = " ",
        cell: str = "lstm",
        hidden_size: int = 128,
        num_layers: int = 2,
        bidirectional: bool = True,
        dropout: float = 0.0,
        dtype: DTypeLike = np.float32,
        compute: str | None = None,
        rng: np.random.Generator | int | None = None,
        **cell_options: Any,
    ) -> None:
        super().__init__(dtype, rng)
        require_cell_options(cell, cell_options, type(self))
        self.symbols = symbol_names(symbols, separator)
        self.input_size = _input_size(input_size, features)
        first = 0 if self.blank is None else 1
        self._ids = {name: k for k, name in enumerate(self.symbols, start=first)}
        shared: dict[str, Any] = {"dtype": self.dtype, "rng": self.rng, "compute": compute}
        self.rnn = recurrent(
            cell,
            self.input_size,
            hidden_size,
            num_layers,
            owner=type(self),
            cell_options=cell_options,
            bidirectional=bidirectional,
            dropout=dropout,
            **shared,
        )
        self.drop = Dropout(dropout, rng=self.rng)
        outputs = hidden_size * self.rnn.num_directions
        self.output = self._output_layer(outputs, len(self.symbols) + first, **shared)

    @abstractmethod
    def _output_layer(self, input_size: int, output_size: int, **options: Any) -> Any:
        """Return the head."""

    @abstractmethod
    def _transcript(self, log_probabilities: Array) -> Transcript:
        """Return the most probable symbols of frames [T,C], as ids."""

    @property
    def names(self) -> list[str]:
        """Name of every output: the symbols, after the blank "" where there is one."""
        return self.symbols if self.blank is None else ["", *self.symbols]

    def compute(self, run: Pass, batch: Batch, state: Any = None) -> None:
        """Recurrent layers and output layer."""
        y, _ = run(self.rnn, batch.inputs, lengths=batch.lengths)
        run.loss(self.output, run(self.drop, y), batch.targets, lengths=batch.lengths)

    # --- training --------------------------------------------------------------------------------
    @strict_keywords()
    def batches(
        self,
        features: Iterable[Any],
        labels: Iterable[Any],
        batch_size: int = 16,
        *,
        seed: int | None = None,
    ) -> TranscribedBatches:
        """Return batches of sequences with their labels; see `fit` and `TranscribedBatches`."""
        examples = self._examples(features, labels)
        return TranscribedBatches(*examples, batch_size, per_step=self.per_step, seed=seed)

    def fit(
        self,
        features: Iterable[Any],
        labels: Iterable[Any],
        config: TrainingConfig | None = None,
        *,
        validation: tuple[Iterable[Any], Iterable[Any]] | None = None,
        **options: Any,
    ) -> TrainingResult:
        """Train on sequences with their labels.

        Parameters
        ----------
        features : list of arrays [T_k,I], ``.npy`` files or recordings
            Sequences of any lengths; float64 is converted. With the normalization "speaker" all
            recordings of a call are of one speaker; else give what `Features.extract` returns.
        labels : list of texts, of lists of names, or of ids [U_k]
            Symbols of each sequence.
        config : TrainingConfig, optional
            Its share of the sequences, drawn with its seed, is held out for validation.
        validation : (features, labels), optional
            What is held out instead.
        **options
            Of `rnncore.training.fit`: ``path``, ``overwrite``, ``progress``.

        Returns
        -------
        TrainingResult

        Raises
        ------
        TypeError, ValueError
            If a sequence or its labels do not fit, by path or index. Otherwise as
            `rnncore.training.fit`.
        """
        config = TrainingConfig(batch_size=16) if config is None else config
        examples = self._examples(features, labels)
        if validation is None:
            examples, held_out = split_shuffled(examples, config.validation_fraction, config.seed)
        else:
            held_out = self._examples(*validation)
        size, seed, per_step = config.batch_size, config.seed, self.per_step
        training = TranscribedBatches(*examples, size, per_step=per_step, seed=seed)
        checked = TranscribedBatches(*held_out, size, per_step=per_step) if held_out[0] else None
        return fit(self, training, checked, config, **options)

    # --- use -------------------------------------------------------------------------------------
    def posteriors(self, features: Iterable[Any]) -> list[NDArray[Any]]:
        """Return the probability of every output at every frame, an array [T_k,C] for each.

        Parameters
        ----------
        features : list of arrays [T_k,I], ``.npy`` files or recordings
            As in `fit`.

        Raises
        ------
        TypeError, ValueError
            If a sequence does not fit, by path or index.
        """
        return self._each(features, lambda log_p: np.exp(log_p))

    def transcribe(self, features: Iterable[Any]) -> list[Transcript]:
        """Return the symbols of each sequence with the frames that they take.

        Parameters and errors are those of `posteriors`. A sequence of length 0 has no symbols.
        """
        return self._each(features, lambda log_p: self._transcript(log_p).named(self.names))

    @strict_keywords()
    def stream(self, source: Iterable[Any] | None = None) -> RecognizerStream:
        """Return a `RecognizerStream`, which recognizes live audio.

        Parameters
        ----------
        source : iterable of samples [N] or of features [T,I], optional
            Pieces of a recording as they come, see `RecognizerStream.push`.

        Raises
        ------
        ValueError
            If the layers are bidirectional, or the features need the whole recording.
        """
        return RecognizerStream(self, source)

    def _each(self, features: Iterable[Any], use: Callable[[Array], Any]) -> list[Any]:
        """Return what is made of the log-probabilities [T,C] of each sequence, in their order."""
        inputs = self.inputs(features)
        results: list[Any] = [None] * len(inputs)
        if inputs:
            batches = TranscribedBatches(inputs, batch_size=_READ_AT_ONCE)
            for members in batches.buckets.epoch(0):
                ((head, y),), _ = self.outputs(batches.batch(members))
                log_p = head.log_probabilities(y)
                for b, k in enumerate(members):
                    results[k] = use(np.ascontiguousarray(log_p[: len(inputs[k]), b]))
        return results

    # --- what users have -------------------------------------------------------------------------
    def _examples(
        self, features: Iterable[Any], labels: Iterable[Any]
    ) -> tuple[list[Array], list[NDArray[np.int64]]]:
        """Return sequences and labels as arrays and ids."""
        given = _listed("features", features)
        inputs = self.inputs(given)
        every = _listed("labels", labels)
        if len(every) != len(inputs):
            raise ValueError(
                f"labels: expected one list for each of {len(inputs)} sequences, got {len(every)}"
            )
        ids = [
            self.check(_name("labels", k, x), inputs[k], own)
            for k, (x, own) in enumerate(zip(given, every, strict=True))
        ]
        return inputs, ids

    def check(self, name: str, x: Array, labels: Any) -> NDArray[np.int64]:
        """Return the ids of the labels of features [T,I]; errors call the sequence ``name``.

        Raises
        ------
        TypeError, ValueError
            If a label is none of the model's, or so many labels do not fit.
        """
        first = 0 if self.blank is None else 1
        ids = label_ids(labels, self._ids, self.separator, first, name)
        self._require_fitting(name, len(vector_sequence(name, x, self.input_size, self.dtype)), ids)
        return ids

    @abstractmethod
    def _require_fitting(self, name: str, num_steps: int, ids: NDArray[np.int64]) -> None:
        """Raise ValueError where a sequence of so many steps cannot have these labels."""

    def inputs(self, features: Iterable[Any], names: Sequence[str] | None = None) -> list[Array]:
        """Return features [T_k,I] of the model's dtype, as all methods take them.

        Parameters
        ----------
        features : list of arrays [T_k,I], ``.npy`` files or recordings
            As in `fit`.
        names : sequence of str, optional
            What errors call them; None: their paths, or numbers.

        Raises
        ------
        TypeError, ValueError
            If a sequence does not fit, by its name.
        """
        given = _listed("features", features)
        recordings = [k for k, x in enumerate(given) if self._is_recording(k, x)]
        computed: list[Array] = []
        if recordings and self.features is not None:
            computed = self.features.extract([given[k] for k in recordings])
        found = dict(zip(recordings, computed, strict=True))
        arrays = []
        for k, value in enumerate(given):
            name = _name("features", k, value) if names is None else names[k]
            x = found.get(k, value)
            if isinstance(x, str | os.PathLike):
                x = read_features(x)
            arrays.append(vector_sequence(name, x, self.input_size, self.dtype))
        return arrays

    def _is_recording(self, k: int, value: Any) -> bool:
        is_file = isinstance(value, str | os.PathLike) and Path(value).suffix != ".npy"
        is_recording = is_file or isinstance(value, Recording)
        if self.features is None:
            if is_recording:
                raise ValueError(
                    f"{_name('features', k, value)}: expected features, got a recording; a model "
                    "made with features=rnncore.audio.Features(...) takes recordings"
                )
            return False
        return is_recording or (not isinstance(value, str | os.PathLike) and np.ndim(value) == 1)


def _input_size(given: Any, features: Features | None) -> int:
    if features is None:
        if given is None:
            raise ValueError("input_size, features: expected one of the two, got neither")
        return size("input_size", given)
    instance("features", features, Features)
    if given not in (None, features.num_features):
        raise ValueError(
            f"input_size: expected {features.num_features}, the width of the features, got "
            f"{describe(given)}"
        )
    return features.num_features


def _name(what: str, k: int, given: Any) -> str:
    """Return what errors call a sequence: its path, or its number."""
    return str(given) if isinstance(given, str | os.PathLike) else f"{what}[{k}]"


def _listed(name: str, values: Any) -> list[Any]:
    if isinstance(values, str | os.PathLike) or not isinstance(values, Iterable):
        raise TypeError(f"{name}: expected a list of them, got {describe(values)}")
    return list(values)
