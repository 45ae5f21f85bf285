"""A recurrent language model: [embedding] -> recurrent layers -> linear layer -> softmax."""

from __future__ import annotations

import os
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike

from rnncore import _core, _restoring
from rnncore._check import (
    Array,
    choice,
    flag,
    instance,
    named_config,
    size,
)
from rnncore._keywords import strict_keywords
from rnncore._narrow import storage
from rnncore.data import Batch, Batches
from rnncore.data.batch import IdsLike
from rnncore.heads import Softmax
from rnncore.layers import Concatenate, Dropout, Embedding, recurrent
from rnncore.models.contexts import context_rows, context_vector, folded, one_hot, with_contexts
from rnncore.models.initialization import Initialization
from rnncore.models.model import Model
from rnncore.models.passes import Pass
from rnncore.models.presets import PRESETS
from rnncore.models.scored import Scored
from rnncore.models.stepping import LanguageModelDecoder
from rnncore.models.texts import checked_batch, sentence_tokens, text_ids
from rnncore.progress import bits, perplexity
from rnncore.text import as_tokenizer
from rnncore.training import TrainingConfig, TrainingResult, fit, text_batches

__all__ = ["LanguageModel"]


class LanguageModel(Model, Scored):
    r"""Probability of each token given all tokens before it, p(x[t+1] | x[0..t]).

    ``e[t] = dropout(embedding[x[t]])``, ``h[t] = cell(e[t], h[t-1])`` in ``num_layers`` layers with
    dropout between them, ``p = softmax(W dropout(h[t]) + b)``. Dropout acts on these non-recurrent
    connections only (Zaremba, Sutskever and Vinyals 2014, arXiv 1409.2329) and only in training.

    Parameters
    ----------
    vocab_size : int
        Number of different tokens V.
    cell : {"lstm", "gru", "rnn"}
        Kind of recurrent layer.
    embedding_size : int or None
        Width E of the embedding; None: tokens enter the first recurrent layer as one-hot vectors.
    hidden_size : int
        Units H of each recurrent layer.
    num_layers : int
        Number of recurrent layers.
    bias : bool
        Whether the recurrent layers and the output layer have biases.
    dropout : float
        Probability of dropping a value, in [0, 1).
    tie_weights : bool
        Whether the output layer takes the matrix of the embedding, whose width is then that of the
        last layer, see `heads.Softmax`. The embedding then begins with a standard deviation of
        ``1 / sqrt(E)``.
    sparse_embedding : bool
        Whether updates of the embedding cost what the rows of the batch cost, see `Embedding`.
    tokenizer : Tokenizer, another object with ``encode`` and ``decode``, or None
        Vocabulary of V tokens, see `rnncore.text.as_tokenizer`; with it, methods take text as well
        as ids.
    sentences : bool
        Whether the model reads each line as a sentence of its own, not as part of one text; see
        `sentences`.
    initialization : Initialization, the name of one, or None
        How the initial parameters are drawn; None is ``Initialization()``.
    dtype : float32 or float64
        Type of the parameters.
    compute : "bfloat16" or None
        What the operands of the products of recurrent and output layers are rounded to, see `RNN`.
        Sampling does not round them.
    weight_format : {"bfloat16", "int8", "int8_dynamic"} or None
        See `weight_format`.
    context_size : int or None
        Width C of a vector that is read with each sequence, beside every token of it: the meaning
        of a source sentence, a topic, a speaker (joint language and translation modeling; Auli,
        Galley, Quirk and Zweig 2013). The recurrent layers read ``[e[t], context]``. Tokens without
        an embedding then enter as vectors of V numbers, which a large vocabulary is too wide for.
        None: the model reads tokens alone.
    rng : numpy Generator, int or None
        Source of the initial parameters and of dropout.
    **cell_options
        Options of one cell alone: ``nonlinearity`` of "rnn", ``reset`` of "gru".

    Attributes
    ----------
    embedding : Embedding or None
    rnn : RNN, GRU or LSTM
    output : Softmax
        The layers; their parameters are views of the model's.

    Examples
    --------
    >>> import rnncore as rc
    >>> model = rc.LanguageModel(vocab_size=100, hidden_size=32, num_layers=1, rng=0)
    >>> batch = rc.data.Batch(inputs=[[0], [1], [2], [3]], targets=[[1], [2], [3], [4]])
    >>> loss, state = model.loss_and_grad(batch)
    >>> 4 < loss < 5  # near ln 100 = 4.6
    True
    """

    _fixed = frozenset({"embedding", "rnn", "output"})
    _unsaved = frozenset({"rng", "initialization"})

    def __init__(
        self,
        vocab_size: int,
        cell: str = "lstm",
        embedding_size: int | None = None,
        hidden_size: int = 256,
        num_layers: int = 2,
        *,
        bias: bool = True,
        dropout: float = 0.0,
        tie_weights: bool = False,
        sparse_embedding: bool = False,
        tokenizer: Any = None,
        sentences: bool = False,
        initialization: Initialization | str | None = None,
        dtype: DTypeLike = np.float32,
        compute: str | None = None,
        weight_format: str | None = None,
        context_size: int | None = None,
        rng: np.random.Generator | int | None = None,
        **cell_options: Any,
    ) -> None:
        super().__init__(dtype, rng)
        self.weight_format = weight_format
        self.vocab_size = size("vocab_size", vocab_size)
        self.context_size = None if context_size is None else size("context_size", context_size)
        self.sentences = sentences
        if tokenizer is not None:
            tokenizer = as_tokenizer(tokenizer)
            if tokenizer.vocab_size != self.vocab_size:
                raise ValueError(
                    f"tokenizer: expected a vocabulary of vocab_size = {self.vocab_size} tokens, "
                    f"got {tokenizer.vocab_size}"
                )
        self.tokenizer = tokenizer
        shared: dict[str, Any] = {"dtype": self.dtype, "rng": self.rng}
        tied = flag("tie_weights", tie_weights)
        if tied and embedding_size != hidden_size:
            raise ValueError(
                f"tie_weights: expected embedding_size = hidden_size = {hidden_size}, got "
                f"{embedding_size}"
            )
        if flag("sparse_embedding", sparse_embedding) and (tied or embedding_size is None):
            raise ValueError("sparse_embedding: expected an embedding, and not tie_weights with it")
        self.embedding: Embedding | None = None
        if embedding_size is not None:
            width = size("embedding_size", embedding_size)
            std = width**-0.5 if tied else 1.0
            self.embedding = Embedding(
                self.vocab_size, width, std=std, sparse=sparse_embedding, **shared
            )
        self.rnn = recurrent(
            cell,
            (self.vocab_size if embedding_size is None else embedding_size)
            + (self.context_size or 0),
            hidden_size,
            num_layers,
            owner=LanguageModel,
            cell_options=cell_options,
            bias=bias,
            dropout=dropout,
            compute=compute,
            **shared,
        )
        self.drop = Dropout(dropout, rng=self.rng)
        self.output = Softmax(
            hidden_size,
            self.vocab_size,
            bias=bias,
            tied=self.embedding if tied else None,
            compute=compute,
            **shared,
        )
        if self.context_size is not None:
            self.join = Concatenate()
        chosen = Initialization() if initialization is None else initialization
        chosen = named_config("initialization", chosen, Initialization)
        if not _restoring.is_restoring():
            chosen.apply(self, self.rnn, one_hot=embedding_size is None, vocab_size=vocab_size)

    @classmethod
    def from_preset(cls, name: str, vocab_size: int, **options: Any) -> Self:
        """Return a model of named sizes, see `rnncore.models.PRESETS`.

        Parameters
        ----------
        name : {"characters", "tutorial"}
            "characters" is what ``rnncore train`` takes by default.
        vocab_size : int
            Number of different tokens V.
        **options
            Other arguments of the constructor; they count for more than the preset.
        """
        return cls(vocab_size, **{**PRESETS[choice("name", name, PRESETS)], **options})

    # --- running and training --------------------------------------------------------------------
    def compute(self, run: Pass, batch: Batch, state: Any = None) -> Any:
        """Embedding, recurrent layers and output layer; the state is that of `rnn`."""
        x, targets = checked_batch(batch, self.vocab_size)
        if self.embedding is not None:
            x = run(self.drop, run(self.embedding, x))
        if self.context_size is not None:
            if self.embedding is None:
                x = one_hot(x, self.vocab_size, self.dtype)
            contexts = with_contexts(batch.contexts, batch.inputs, self.context_size, self.dtype)
            x = run(self.join, x, contexts)
        elif batch.contexts is not None:
            raise ValueError("contexts: expected None for a model without context_size")
        y, final = run(self.rnn, x, state, lengths=batch.lengths)
        run.loss(self.output, run(self.drop, y), targets)
        return final

    def __call__(
        self,
        ids: IdsLike,
        state: Any = None,
        lengths: IdsLike | None = None,
        *,
        contexts: Any = None,
    ) -> tuple[Array, Any]:
        """Unnormalized log-probabilities of every next token.

        Parameters
        ----------
        ids : integers [T,B] or [T]
            Tokens read.
        state : state of `rnn`, or None
            Initial state; None is zero.
        lengths : integers [B], or one for ids [T], optional
            Steps of each row; None is T for all. Past the end the ids may be anything.
        contexts : array [B,C], or [C] for ids [T]
            What a model with `context_size` reads.

        Returns
        -------
        logits : array [T,B,V] or [T,V]
            Element t is about token t + 1.
        state : like the argument
            Final state.
        """
        ((head, y),), final = self.outputs(Batch(ids, lengths=lengths, contexts=contexts), state)
        return head(y), final

    def metrics(self, loss: float) -> dict[str, float]:
        """Return perplexity and bits per token of a mean loss."""
        unit = "token" if self.tokenizer is None else self.tokenizer.unit
        return {"perplexity": perplexity(loss), f"bits/{unit}": bits(loss)}

    # --- decoding ---------------------------------------------------------------------------------
    @property
    def weight_format(self) -> str | None:
        """How files, `score`, `sample` and `generate` hold the matrices; None: as they are.

        "bfloat16", "int8" and "int8_dynamic" make the file smaller and sampling faster, see
        `rnncore.layers.Stream`. Files of the last two hold the same numbers; "int8_dynamic" is the
        faster one, and rounds inputs and states too.

        `score`, `perplexity`, `sample` and `generate` round every matrix, the embedding too, as the
        file does: they return the same before `rnncore.save` and after `rnncore.load`. The
        parameters themselves keep their dtype, and every other method uses them as they are; those
        of a model read from such a file are the rounded ones.

        >>> model = LanguageModel(vocab_size=100, hidden_size=32, rng=0)
        >>> model.weight_format = "int8_dynamic"
        >>> len(model.sample([1], 10))
        10
        """
        return self._weight_format

    @weight_format.setter
    def weight_format(self, value: str | None) -> None:
        self._weight_format = None if storage(value, self.dtype) == "full" else value

    @property
    def unit(self) -> str:  # type: ignore[override]
        """What the tokenizer calls a token: "character", "word", "byte" or "token"."""
        return "token" if self.tokenizer is None else self.tokenizer.unit

    @property
    def sentences(self) -> bool:
        """Whether the model reads each line on its own. `fit` sets it from its configuration.

        Texts that such a model samples begin with the start token and stop at the end token.
        """
        return self._sentences

    @sentences.setter
    def sentences(self, value: bool) -> None:
        self._sentences = flag("sentences", value)

    def _storage(self, weight_format: str | None) -> str:
        """The kernel's name of what is asked for, or else of the model's choice."""
        return storage(self.weight_format if weight_format is None else weight_format, self.dtype)

    @strict_keywords()
    def sampler(self, weight_format: str | None = None, context: Any = None) -> _core.Sampler:
        """Return the kernel's sampler of one sequence, with the present parameters.

        `weight_format` is how it stores the matrices; None is the model's own choice. `context` [C]
        is what a model with `context_size` reads in every step.
        It takes one call at a time; ``sampler.copy()`` gives each thread its own.
        """
        storage = self._storage(weight_format)
        vector = context_vector("context", context, self.context_size, self.dtype)
        network, params = self.rnn.network, self.rnn.flat_params
        if vector is not None:
            network, params = folded(self.rnn, vector, storage)
        return _core.Sampler(
            network,
            params,
            None if self.embedding is None else self.embedding.params["weight"],
            self.output.weight,
            self.output.params.get("bias"),
            storage,
        )

    @strict_keywords()
    def decoder(
        self, weight_format: str | None = None, contexts: Any = None
    ) -> LanguageModelDecoder:
        """Return the model as `rnncore.decode` searches it, with its present parameters.

        `weight_format` is how it stores the matrices; None is the model's own choice. `contexts`
        [count,C] are what a model with `context_size` reads with each sentence.
        """
        return LanguageModelDecoder(self, weight_format, contexts)

    # --- training on text ------------------------------------------------------------------------
    @strict_keywords()
    def batches(
        self,
        tokens: str | IdsLike | os.PathLike[str],
        config: TrainingConfig | None = None,
        *,
        contexts: Any = None,
    ) -> tuple[Batches, Batches | None]:
        """Training and validation batches of a text, as `rnncore.training.text_batches`.

        Parameters
        ----------
        tokens : str, path, or integers [N]
            The whole text; its end is held out for validation. A ``pathlib.Path`` names a file of
            text, which is not held in memory, see `rnncore.text.prepare`. Both need a tokenizer.
        config : TrainingConfig, optional
            With ``sentences``, every line is a sequence of its own, between the start and the end
            token of the tokenizer.
        contexts : array [K,C] or [C], optional
            What a model with `context_size` reads: a vector for each of K lines, where
            ``config.sentences``; otherwise one for the whole text.
        """
        config = TrainingConfig() if config is None else config
        instance("config", config, TrainingConfig)
        check = context_rows if config.sentences else context_vector
        check("contexts", contexts, self.context_size, self.dtype)
        if not config.sentences:
            return text_batches(text_ids(self, tokens), config, contexts=contexts)
        start, end, line_end = sentence_tokens(self.tokenizer)
        ids = text_ids(self, tokens)
        return text_batches(ids, config, line_end, start, end, contexts=contexts)

    def fit(
        self,
        tokens: str | IdsLike | os.PathLike[str],
        config: TrainingConfig | None = None,
        *,
        contexts: Any = None,
        **options: Any,
    ) -> TrainingResult:
        """Train on the `batches` of a text.

        Parameters
        ----------
        tokens, config, contexts
            As of `batches`.
        **options
            Of `rnncore.training.fit`: ``path``, ``progress``, ``checkpoint_every``, ...
        """
        batches = self.batches(tokens, config, contexts=contexts)
        self.sentences = config is not None and config.sentences
        return fit(self, *batches, config, **options)
