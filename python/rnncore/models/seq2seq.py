"""Seq2Seq: a sequence becomes another one, such as a sentence its translation."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rnncore import _restoring, init
from rnncore._check import (
    Ids,
    choice,
    flag,
    integer,
    real,
    size,
)
from rnncore._keywords import strict_keywords
from rnncore.data import Batch, PairBatches, split_shuffled
from rnncore.heads import Softmax
from rnncore.layers import (
    LSTM,
    Dropout,
    Embedding,
    Reverse,
    recurrent,
    require_cell_options,
)
from rnncore.models.bridge import Bridge
from rnncore.models.decoders import (
    DECODERS,
    Decoder,
    Encoded,
    decoder_depth,
    require_attention_options,
)
from rnncore.models.inputs import id_sequences, padded_ids, vocab_size_of
from rnncore.models.model import Model
from rnncore.models.pairs import pair_scores
from rnncore.models.passes import Pass, TrainingPass
from rnncore.models.translation import Translating
from rnncore.progress import perplexity
from rnncore.text import as_tokenizer
from rnncore.training import TrainingConfig, TrainingResult, fit

__all__ = ["Seq2Seq"]


class Seq2Seq(Model, Translating):
    r"""Probability of a target sequence, given a source sequence.

    An encoder reads the source; a bridge makes the initial state of a decoder of its final state;
    the decoder writes the target token after token. `context` says what else of the source the
    decoder reads:

    - "attention": outputs of the decoder attend to those of the encoder, all steps at once (Luong,
      Pham and Manning 2015, arXiv 1508.04025).
    - "input_feeding": the same, and each step reads what the step before has attended to.
    - "conditional": the cell attends in the middle of its step (Bahdanau, Cho and Bengio 2015,
      arXiv 1409.0473, as in nematus).
    - "fixed": the last output of the encoder, in every step (Cho et al. 2014, arXiv 1406.1078).
    - "state": nothing (Sutskever, Vinyals and Le 2014, arXiv 1409.3215).

    Parameters
    ----------
    source_vocab_size, target_vocab_size : int or None
        Number of different tokens of each side; None: that of its tokenizer.
    source_tokenizer, target_tokenizer : tokenizer or None
        Turn texts into ids; anything that `rnncore.text.as_tokenizer` takes. The same object may
        serve both sides.
    cell : {"gru", "lstm", "rnn"}
        Kind of the recurrent layers.
    embedding_size : int
        Width E of the embeddings.
    hidden_size : int
        Units H of each recurrent layer and direction.
    num_layers : int
        Recurrent layers of the encoder.
    decoder_layers : int or None
        Recurrent layers of the decoder; None: `num_layers`, but one where each step attends.
    bidirectional : bool
        Whether a second network reads the source from its end.
    context : {"attention", "input_feeding", "conditional", "fixed", "state"}
        See above.
    score : {"general", "dot", "additive"}
        How attention compares, see `Attention`.
    attention_size : int or None
        See `Attention`.
    num_heads : int
        Heads of the attention.
    bridge : {"tanh", "zero"}
        Initial state of the decoder: a linear layer and tanh over the final state of the encoder,
        or zero.
    reverse_source : bool
        Whether sources are read from their ends (Sutskever et al. 2014).
    tie_weights : bool
        Whether the output layer takes the matrix of the target embedding, see `heads.Softmax`.
    share_embeddings : bool
        Whether both sides have one embedding; they then have one vocabulary.
    dropout : float
        Probability of dropping an element of embeddings, of what one layer gives to the next, of
        what is attended to, and of the input of the output layer.
    label_smoothing : float
        See `heads.Softmax`.
    scheduled_sampling : float
        See `scheduled_sampling`.
    start, end : int or None
        Ids that begin and end a target; None: those of the target's tokenizer.
    dtype : float32 or float64
        Type of the parameters.
    compute : "bfloat16" or None
        What the operands of products are rounded to, see `RNN`.
    rng : numpy Generator, int or None
        Source of the initial parameters, of dropout and of scheduled sampling.
    **cell_options
        Of the one cell: ``nonlinearity`` of "rnn", ``reset`` of "gru".

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    Examples
    --------
    >>> import rnncore as rc
    >>> words = rc.text.WordTokenizer.fit(["ein hund", "a dog"])
    >>> model = rc.Seq2Seq(source_tokenizer=words, target_tokenizer=words, hidden_size=8, rng=0)
    >>> model.score(["ein hund"], ["a dog"]).shape
    (1,)
    """

    unit = "token"

    def __init__(
        self,
        source_vocab_size: int | None = None,
        target_vocab_size: int | None = None,
        *,
        source_tokenizer: Any = None,
        target_tokenizer: Any = None,
        cell: str = "gru",
        embedding_size: int = 256,
        hidden_size: int = 256,
        num_layers: int = 1,
        decoder_layers: int | None = None,
        bidirectional: bool = True,
        context: str = "attention",
        score: str = "general",
        attention_size: int | None = None,
        num_heads: int = 1,
        bridge: str = "tanh",
        reverse_source: bool = False,
        tie_weights: bool = True,
        share_embeddings: bool = False,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        scheduled_sampling: float = 0.0,
        start: int | None = None,
        end: int | None = None,
        dtype: DTypeLike = np.float32,
        compute: str | None = None,
        rng: np.random.Generator | int | None = None,
        **cell_options: Any,
    ) -> None:
        super().__init__(dtype, rng)
        require_cell_options(cell, cell_options, Seq2Seq)
        tokenizers = [
            None if given is None else as_tokenizer(given)
            for given in (source_tokenizer, target_tokenizer)
        ]
        self.source_tokenizer, self.target_tokenizer = tokenizers
        self.source_vocab_size = vocab_size_of("source", source_vocab_size, self.source_tokenizer)
        self.target_vocab_size = vocab_size_of("target", target_vocab_size, self.target_tokenizer)
        self.start = self._boundary("start", start)
        self.end = self._boundary("end", end)
        self.scheduled_sampling = scheduled_sampling
        self.reverse_source = flag("reverse_source", reverse_source)
        shared: dict[str, Any] = {"dtype": self.dtype, "rng": self.rng}
        products = {"compute": compute, **shared}
        width, hidden = size("embedding_size", embedding_size), size("hidden_size", hidden_size)
        attention = {"score": score, "attention_size": attention_size, "num_heads": num_heads}
        require_attention_options(choice("context", context, DECODERS), attention)
        layers = decoder_depth(context, num_layers, decoder_layers)

        embedding = {"std": width**-0.5, **shared}
        self.embedding = Embedding(self.target_vocab_size, width, **embedding)
        self.source_embedding: Embedding | None = None
        if not flag("share_embeddings", share_embeddings):
            self.source_embedding = Embedding(self.source_vocab_size, width, **embedding)
        elif self.source_vocab_size != self.target_vocab_size:
            raise ValueError(
                "share_embeddings: expected one vocabulary, got "
                f"{self.source_vocab_size} and {self.target_vocab_size} tokens"
            )
        options: dict[str, Any] = {
            "owner": Seq2Seq,
            "cell_options": cell_options,
            "dropout": dropout,
        }
        self.encoder: Any = recurrent(
            cell, width, hidden, num_layers, bidirectional=bidirectional, **options, **products
        )
        memory = hidden * self.encoder.num_directions
        outputs = width if flag("tie_weights", tie_weights) else hidden
        sizes = SimpleNamespace(
            cell=cell,
            embedding=width,
            hidden=hidden,
            layers=layers,
            memory=memory,
            output=outputs,
            bidirectional=bidirectional,
            attention=attention,
        )
        self.writer: Decoder = DECODERS[context](sizes, options, products)
        self.bridges: tuple[Bridge, ...] = ()
        if choice("bridge", bridge, ("tanh", "zero")) == "tanh":
            counts = num_layers, layers
            self.bridges = [  # type: ignore[assignment]
                Bridge(counts, (memory, hidden), self.encoder.num_directions, **products)
                for _ in self.encoder.state_names
            ]
        self.drop = Dropout(dropout, rng=self.rng)
        self.output = Softmax(
            outputs,
            self.target_vocab_size,
            tied=self.embedding if tie_weights else None,
            label_smoothing=label_smoothing,
            **products,
        )
        if cell == "lstm" and not _restoring.is_restoring():
            for layer in self.modules():
                if isinstance(layer, LSTM):
                    init.forget_gate_bias(layer, 1.0)

    def _boundary(self, name: str, given: int | None) -> int:
        """Return the id that begins or ends a target."""
        if given is None:
            given = getattr(self.target_tokenizer, name, None)
        if given is None:
            raise ValueError(
                f"{name}: expected an id, or that of a tokenizer, got {self.target_tokenizer!r}"
            )
        return integer(name, given, 0, self.target_vocab_size - 1)

    @property
    def scheduled_sampling(self) -> float:
        """Probability in [0, 1] that training reads the model's own token instead of the true one.

        Bengio et al. 2015 (arXiv 1506.03099) draw it step by step. Here the own tokens of all steps
        come from one pass over the true ones, which is as fast as it is without (Mihaylova and
        Martins 2019, arXiv 1906.07651, with one pass and the most probable token). A callback may
        raise the probability during training.
        """
        return self._scheduled_sampling

    @scheduled_sampling.setter
    def scheduled_sampling(self, value: float) -> None:
        self._scheduled_sampling = real("scheduled_sampling", value, 0, 1)

    # --- what it computes ------------------------------------------------------------------------
    def compute(self, run: Pass, batch: Batch, state: Any = None) -> None:
        """Encoder, bridge, decoder and output layer."""
        sources, inputs = batch.inputs
        source_lengths, lengths = batch.lengths
        inputs = padded_ids("inputs[1]", inputs, lengths, self.target_vocab_size)
        if isinstance(run, TrainingPass) and self.scheduled_sampling > 0:
            inputs = self._sampled(batch, inputs)
        encoded = self.encode(run, sources, source_lengths)
        x = run(self.drop, run(self.embedding, inputs))
        y = self.writer.compute(run, x, encoded, lengths)
        run.loss(self.output, run(self.drop, y), batch.targets)

    def encode(self, run: Pass, sources: Ids, lengths: Ids, encoder: Any = None) -> Encoded:
        """Return what the decoder knows of sources [S,B]; `encoder` is a frozen one."""
        ids = padded_ids("inputs[0]", sources, lengths, self.source_vocab_size)
        if self.reverse_source:
            ids = Reverse()(ids, lengths)
        table = self.embedding if self.source_embedding is None else self.source_embedding
        x = run(self.drop, run(table, ids))
        y, final = run(encoder or self.encoder, x, lengths=lengths)
        parts = final if isinstance(final, tuple) else (final,)
        initial = [run(bridge, part) for bridge, part in zip(self.bridges, parts, strict=False)]
        state = tuple(initial) if len(initial) > 1 else next(iter(initial), None)
        return Encoded(run(self.drop, y), np.asarray(lengths), state)

    def _sampled(self, batch: Batch, inputs: Ids) -> Ids:
        """Return the inputs [T,B], some of them replaced by what the model would have written."""
        ((head, y),), _ = self.outputs(batch)
        written = head(y).argmax(axis=-1)  # after step t; the start is never replaced
        own = self.rng.random((len(inputs) - 1, inputs.shape[1])) < self.scheduled_sampling
        sampled = inputs.copy()
        sampled[1:][own] = written[:-1][own]
        return sampled

    def metrics(self, loss: float) -> dict[str, float]:
        """Return the perplexity of a mean loss."""
        return {"perplexity": perplexity(loss)}

    # --- training --------------------------------------------------------------------------------
    @strict_keywords()
    def batches(
        self,
        sources: Iterable[Any],
        targets: Iterable[Any],
        batch_size: int | None = 32,
        *,
        max_tokens: int | None = None,
        seed: int | None = None,
    ) -> PairBatches:
        """Return batches of pairs; see `fit` and `PairBatches`."""
        pairs = self._pairs(sources, targets)
        return PairBatches(*pairs, batch_size, max_tokens=max_tokens, seed=seed)

    def fit(
        self,
        sources: Iterable[Any],
        targets: Iterable[Any],
        config: TrainingConfig | None = None,
        *,
        validation: tuple[Iterable[Any], Iterable[Any]] | None = None,
        max_tokens: int | None = None,
        **options: Any,
    ) -> TrainingResult:
        """Train on pairs of sequences.

        Parameters
        ----------
        sources, targets : list of str, or of ids [T_k]
            A target for each source; targets of ids without `start` and `end`.
        config : TrainingConfig, optional
            Its share of the pairs, drawn with its seed, is held out for validation.
        validation : (sources, targets), optional
            What is held out instead.
        max_tokens : int or None
            Tokens of one batch at most, see `PairBatches`; ``config.batch_size`` bounds the pairs.
        **options
            Of `rnncore.training.fit`: ``path``, ``overwrite``, ``progress``.

        Returns
        -------
        TrainingResult
            Its training losses are those with label smoothing and dropout, its validations without.
            Errors name the sequence that does not fit, by its index.

        Examples
        --------
        >>> import rnncore as rc
        >>> letters = rc.text.CharTokenizer.fit("abc", special_tokens=["<s>", "</s>"])
        >>> model = rc.Seq2Seq(
        ...     source_tokenizer=letters, target_tokenizer=letters, hidden_size=16, rng=0
        ... )
        >>> config = rc.training.TrainingConfig(epochs=30, validation_fraction=0)
        >>> result = model.fit(["ab", "ba", "c"] * 8, ["ba", "ab", "c"] * 8, config)
        >>> model.translate(["ba", "", "c"])
        ['ab', '', 'c']
        """
        config = TrainingConfig() if config is None else config
        pairs = self._pairs(sources, targets)
        if validation is None:
            pairs, held_out = split_shuffled(pairs, config.validation_fraction, config.seed)
        else:
            held_out = self._pairs(*validation)
        limits: dict[str, Any] = {"batch_size": config.batch_size, "max_tokens": max_tokens}
        training = PairBatches(*pairs, seed=config.seed, **limits)
        checked = PairBatches(*held_out, **limits) if held_out[0] else None
        return fit(self, training, checked, config, **options)

    # --- use -------------------------------------------------------------------------------------
    def score(self, sources: Iterable[Any], targets: Iterable[Any]) -> NDArray[np.float64]:
        """Return the log-probability ln p(target | source) of each pair [N], the end included.

        Sources and targets are those of `fit`, and so are the errors.
        """
        return pair_scores(self, *self._pairs(sources, targets))

    def source_ids(self, sources: Iterable[Any]) -> list[Ids]:
        """Return sources, texts or ids, as ids; errors name the one that does not fit."""
        return list(id_sequences(sources, self.source_vocab_size, self.source_tokenizer, "sources"))

    def _pairs(self, sources: Iterable[Any], targets: Iterable[Any]) -> tuple[list[Ids], list[Ids]]:
        """Return sources, and targets between `start` and `end`."""
        read = self.source_ids(sources)
        written = id_sequences(targets, self.target_vocab_size, self.target_tokenizer, "targets")
        if len(read) != len(written):
            raise ValueError(
                f"targets: expected one for each of {len(read)} sources, got {len(written)}"
            )
        return read, [np.concatenate([[self.start], ids, [self.end]]) for ids in written]
