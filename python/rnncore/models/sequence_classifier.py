"""SequenceClassifier: one label for a whole sequence, such as the sentiment of a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rnncore._check import Array, choice, size
from rnncore.data import Batch, LabeledBatches, split_shuffled
from rnncore.heads import Softmax
from rnncore.layers import Dropout, Embedding, LastOutput, Pooling, recurrent
from rnncore.models.inputs import class_ids, id_sequences, vector_sequences
from rnncore.models.model import Model
from rnncore.models.passes import LossPass, Pass
from rnncore.text import Tokenizer, as_tokenizer
from rnncore.training import TrainingConfig, TrainingResult, fit

__all__ = ["SequenceClassifier"]

_PREDICTED_AT_ONCE = 64


class SequenceClassifier(Model):
    r"""Probability of each class, given a whole sequence of any length.

    ``y = cell(dropout(embedding[x]))``, ``p = softmax(W dropout(pooling(y)) + b)``. Sequences are
    texts or ids, where there is a `vocab_size`, or vectors, where there is an `input_size`.

    Parameters
    ----------
    num_classes : int
        Number of classes C.
    vocab_size : int or None
        Number of different ids V.
    input_size : int or None
        Width I of the vectors of a sequence. One of the two is given.
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
        Probability of dropping an input of the recurrent layers, or of the output layer.
    class_weights : C numbers, or None
        Factor of each class's loss; None: all are 1.
    labels : C names, or None
        With them, `fit` takes and `predict` returns names instead of numbers.
    tokenizer : tokenizer or None
        Turns texts into V different ids.
    dtype, compute, rng, **cell_options
        As in `LanguageModel`.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    Examples
    --------
    >>> import rnncore as rc
    >>> model = rc.SequenceClassifier(2, vocab_size=10, labels=["odd", "even"], rng=0)
    >>> model.predict([[1, 2, 3], [4]])  # not trained yet
    ['odd', 'odd']
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
        if (vocab_size is None) == (input_size is None):
            raise ValueError("vocab_size, input_size: expected one of the two")
        self.tokenizer: Tokenizer | None = None if tokenizer is None else as_tokenizer(tokenizer)
        if labels is not None and len(labels) != size("num_classes", num_classes):
            raise ValueError(f"labels: expected {num_classes} names, got {len(labels)}")
        shared: dict[str, Any] = {"dtype": self.dtype, "rng": self.rng}
        self.embedding: Embedding | None = None
        width = vocab_size or input_size or 0
        if vocab_size is not None and embedding_size is not None:
            self.embedding = Embedding(vocab_size, embedding_size, **shared)
            width = embedding_size
        self.rnn = recurrent(
            cell,
            width,
            hidden_size,
            num_layers,
            owner=SequenceClassifier,
            cell_options=cell_options,
            bidirectional=bidirectional,
            compute=compute,
            **shared,
        )
        last = choice("pooling", pooling, ("last", "mean", "max")) == "last"
        self.pool = LastOutput(bidirectional=bidirectional) if last else Pooling(pooling)
        self.drop = Dropout(dropout, rng=self.rng)
        outputs = hidden_size * self.rnn.num_directions
        self.output = Softmax(outputs, num_classes, class_weights=class_weights, **shared)

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

    def batches(
        self, sequences: Iterable[Any], labels: Iterable[Any], batch_size: int, seed: int | None
    ) -> LabeledBatches:
        """Return batches of sequences with their labels."""
        classes = class_ids(labels, self.labels, self.num_classes)
        return LabeledBatches(self._encoded(sequences), classes, batch_size, seed=seed)

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
            Of `rnncore.training.fit`: ``path``, ``progress``, ...
        """
        config = TrainingConfig() if config is None else config
        examples = list(sequences), list(labels)
        if validation is None:
            examples, held_out = split_shuffled(examples, config.validation_fraction, config.seed)
        else:
            held_out = list(validation[0]), list(validation[1])
        training = self.batches(*examples, config.batch_size, config.seed)
        held_out_batches = self.batches(*held_out, config.batch_size, None) if held_out[0] else None
        return fit(self, training, held_out_batches, config, **options)

    def predict_proba(self, sequences: Iterable[Any]) -> NDArray[Any]:
        """Return the probability of every class [N,C], in the order of the sequences."""
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

    def _encoded(self, sequences: Iterable[Any]) -> list[Array]:
        if self.vocab_size is None:
            return vector_sequences(sequences, self.input_size, self.dtype)
        return list(id_sequences(sequences, self.vocab_size, self.tokenizer))
