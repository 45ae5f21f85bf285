"""SequenceClassifier: one label for a whole sequence, such as the sentiment of a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rnncore._check import Array, choice, size
from rnncore._keywords import strict_keywords
from rnncore.data import Batch, LabeledBatches, split_shuffled
from rnncore.heads import Softmax
from rnncore.layers import Dropout, Embedding, LastOutput, Pooling, recurrent, require_cell_options
from rnncore.models.inputs import (
    class_ids,
    class_names,
    id_sequences,
    input_sizes,
    vector_sequences,
)
from rnncore.models.model import Model
from rnncore.models.passes import LossPass, Pass
from rnncore.text import Tokenizer, as_tokenizer
from rnncore.training import TrainingConfig, TrainingResult, fit

__all__ = ["SequenceClassifier"]

_PREDICTED_AT_ONCE = 64

# Of the initial embedding. Rare words keep most of their initial vectors, which are noise: it is
# smaller than what frequent words learn.
_EMBEDDING_STD = 0.1


class SequenceClassifier(Model):
    r"""Probability of each class, given a whole sequence of any length.

    ``y = cell(dropout(embedding[x]))``, ``p = softmax(W dropout(pooling(y)) + b)``. Sequences are
    texts or ids, where there is a `vocab_size`, or vectors, where there is an `input_size`.

    Parameters
    ----------
    num_classes : int
        Number of classes C.
    vocab_size : int or None
        Number of different ids V; that of the tokenizer, where there is one.
    input_size : int or None
        Width I of the vectors of a sequence, instead of `vocab_size`.
    cell : {"lstm", "gru", "rnn"}
        Kind of recurrent layer.
    embedding_size : int or None
        Width E of the embedding of ids; None: they enter the first layer as one-hot vectors.
    hidden_size : int
        Units H of each recurrent layer and direction.
    num_layers : int
        Number of recurrent layers.
    bidirectional : bool
        Whether a second network reads the sequence from its end.
    pooling : {"max", "mean", "last"}
        What is taken of the outputs: the largest or mean value over all steps, or the last one.
    dropout : float
        Probability of dropping an element of the embedded ids, of what one recurrent layer gives to
        the next, and of the input of the output layer.
    class_weights : C numbers, or None
        Factor of each class's loss; None: all are 1.
    labels : C names, or None
        With them, `fit` takes and `predict` returns names instead of numbers.
    tokenizer : tokenizer or None
        Turns texts into ids; anything that `rnncore.text.as_tokenizer` takes.
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

    Examples
    --------
    >>> import rnncore as rc
    >>> model = rc.SequenceClassifier(2, vocab_size=10, labels=["odd", "even"], rng=0)
    >>> model.predict_proba([[1, 2, 3], [4]]).shape
    (2, 2)
    """

    unit = "sequence"

    def __init__(
        self,
        num_classes: int,
        *,
        vocab_size: int | None = None,
        input_size: int | None = None,
        cell: str = "lstm",
        embedding_size: int | None = 64,
        hidden_size: int = 128,
        num_layers: int = 1,
        bidirectional: bool = True,
        pooling: str = "max",
        dropout: float = 0.0,
        class_weights: Sequence[float] | None = None,
        labels: Sequence[str] | None = None,
        tokenizer: Any = None,
        dtype: DTypeLike = np.float32,
        compute: str | None = None,
        rng: np.random.Generator | int | None = None,
        **cell_options: Any,
    ) -> None:
        super().__init__(dtype, rng)
        require_cell_options(cell, cell_options, SequenceClassifier)
        self.num_classes = size("num_classes", num_classes)
        self.labels = None if labels is None else class_names(labels, self.num_classes)
        self.tokenizer: Tokenizer | None = None if tokenizer is None else as_tokenizer(tokenizer)
        self.vocab_size, self.input_size = input_sizes(vocab_size, input_size, self.tokenizer)
        shared: dict[str, Any] = {"dtype": self.dtype, "rng": self.rng}
        if embedding_size is not None:
            size("embedding_size", embedding_size)
        self.embedding: Embedding | None = None
        width: Any = self.input_size if self.vocab_size is None else self.vocab_size
        if self.vocab_size is not None and embedding_size is not None:
            self.embedding = Embedding(self.vocab_size, embedding_size, **shared)
            self.embedding.flat_params[:] *= self.dtype.type(_EMBEDDING_STD)
            width = embedding_size
        self.rnn = recurrent(
            cell,
            width,
            hidden_size,
            num_layers,
            owner=SequenceClassifier,
            cell_options=cell_options,
            bidirectional=bidirectional,
            dropout=dropout,
            compute=compute,
            **shared,
        )
        last = choice("pooling", pooling, ("last", "mean", "max")) == "last"
        self.pool = LastOutput(bidirectional=bidirectional) if last else Pooling(pooling)
        self.drop = Dropout(dropout, rng=self.rng)
        outputs = hidden_size * self.rnn.num_directions
        self.output = Softmax(
            outputs, self.num_classes, class_weights=class_weights, compute=compute, **shared
        )
        self.class_weights = self.output.class_weights

    def compute(self, run: Pass, batch: Batch, state: Any = None) -> None:
        """Embedding, recurrent layers, pooling and output layer."""
        x = batch.inputs
        if self.embedding is not None:
            x = run(self.drop, run(self.embedding, x))
        y, _ = run(self.rnn, x, lengths=batch.lengths)
        pooled = run(self.pool, y, lengths=batch.lengths)
        run.loss(self.output, run(self.drop, pooled), batch.targets)

    def measures(self, run: LossPass, batch: Batch) -> dict[str, float]:
        """Return the number of sequences whose most probable class is right."""
        ((head, y),) = run.outputs
        return {"accuracy": float(np.sum(head(y).argmax(axis=-1) == batch.targets))}

    @strict_keywords()
    def batches(
        self,
        sequences: Iterable[Any],
        labels: Iterable[Any],
        batch_size: int = 32,
        *,
        seed: int | None = None,
    ) -> LabeledBatches:
        """Return batches of sequences with their labels; see `fit` and `LabeledBatches`."""
        examples = self._examples(sequences, labels)
        return LabeledBatches(*examples, batch_size, seed=seed)

    def fit(
        self,
        sequences: Iterable[Any],
        labels: Iterable[Any],
        config: TrainingConfig | None = None,
        *,
        validation: tuple[Iterable[Any], Iterable[Any]] | None = None,
        **options: Any,
    ) -> TrainingResult:
        """Train on labeled sequences.

        Parameters
        ----------
        sequences : list of str, of ids [T_k], or of arrays [T_k,I]
            Sequences of any lengths; float64 is converted.
        labels : list of names, or integers [N]
            Class of each sequence.
        config : TrainingConfig, optional
            Its share of the sequences, drawn with its seed, is held out for validation.
        validation : (sequences, labels), optional
            What is held out instead.
        **options
            Of `rnncore.training.fit`: ``path``, ``overwrite``, ``progress``.

        Returns
        -------
        TrainingResult
            Each of its validations holds the accuracy.

        Raises
        ------
        TypeError, ValueError
            If a sequence or a label does not fit, by its index. Otherwise as
            `rnncore.training.fit`.

        Examples
        --------
        >>> import rnncore as rc
        >>> model = rc.SequenceClassifier(2, input_size=1, labels=["down", "up"], rng=0)
        >>> config = rc.training.TrainingConfig(epochs=50, validation_fraction=0)
        >>> sequences = [[0.1, 0.5, 0.9], [0.8, 0.3], [0.3, 0.8], [0.9, 0.5, 0.1]]
        >>> result = model.fit(sequences, ["up", "down", "up", "down"], config)
        >>> model.predict([[0.2, 0.7], [0.9, 0.6, 0.2]])
        ['up', 'down']
        """
        config = TrainingConfig() if config is None else config
        examples = self._examples(sequences, labels)
        if validation is None:
            examples, held_out = split_shuffled(examples, config.validation_fraction, config.seed)
        else:
            held_out = self._examples(*validation)
        training = LabeledBatches(*examples, config.batch_size, seed=config.seed)
        checked = LabeledBatches(*held_out, config.batch_size) if held_out[0] else None
        return fit(self, training, checked, config, **options)

    def predict_proba(self, sequences: Iterable[Any]) -> NDArray[Any]:
        """Return the probability of every class [N,C], in the order of the sequences.

        Parameters
        ----------
        sequences : list of str, of ids [T_k], or of arrays [T_k,I]
            As in `fit`.

        Raises
        ------
        TypeError, ValueError
            If a sequence does not fit, by its index.
        """
        inputs = self._encoded(sequences)
        probabilities: Array = np.zeros((len(inputs), self.num_classes), self.dtype)
        if inputs:
            batches = LabeledBatches(inputs, batch_size=_PREDICTED_AT_ONCE)
            for members in batches.buckets.epoch(0):
                ((head, y),), _ = self.outputs(batches.batch(members))
                probabilities[members] = np.exp(head.log_probabilities(y))
        return probabilities

    def predict(self, sequences: Iterable[Any]) -> list[Any]:
        """Return the most probable class of each sequence: its name, or its number."""
        classes = self.predict_proba(sequences).argmax(axis=1).tolist()
        return classes if self.labels is None else [self.labels[k] for k in classes]

    def _examples(
        self, sequences: Iterable[Any], labels: Iterable[Any]
    ) -> tuple[list[Array], list[int]]:
        """Return sequences and labels as arrays and numbers."""
        classes = class_ids(labels, self.labels, self.num_classes)
        return self._encoded(sequences), classes.tolist()

    def _encoded(self, sequences: Iterable[Any]) -> list[Array]:
        if self.vocab_size is None:
            return vector_sequences(sequences, self.rnn.input_size, self.dtype)
        return list(id_sequences(sequences, self.vocab_size, self.tokenizer))
