"""A recurrent language model: [embedding] -> recurrent layers -> linear layer -> softmax."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rnncore import _core
from rnncore._check import (
    Array,
    Ids,
    check_below,
    check_shape,
    choice,
    describe,
    ids_array,
    instance,
    lengths_array,
    size,
    within,
)
from rnncore._narrow import storage
from rnncore.data import IGNORED, Batches, IdsLike
from rnncore.decode import Sampled
from rnncore.layers import GRU, LSTM, RNN, Dropout, Embedding, Linear
from rnncore.models.initialization import Initialization
from rnncore.progress import Progress, perplexity
from rnncore.text import CharTokenizer
from rnncore.training import Trainable, TrainingConfig, TrainingResult, fit, text_batches

__all__ = ["LanguageModel"]

#: Recurrent layer of each cell, and the keywords that only it takes.
CELLS: dict[str, tuple[type[RNN] | type[GRU] | type[LSTM], frozenset[str]]] = {
    "rnn": (RNN, frozenset({"nonlinearity"})),
    "gru": (GRU, frozenset({"reset"})),
    "lstm": (LSTM, frozenset()),
}

# Steps whose outputs are held at once while a long text is scored: enough to keep the kernels
# busy, and at a hidden size of 1024 still only 4 MB.
_SCORED_AT_ONCE = 1024


class LanguageModel(Trainable, Sampled):
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
    tokenizer : CharTokenizer or None
        Vocabulary of V characters; with it, methods take text as well as ids.
    initialization : Initialization or None
        How the initial parameters are drawn; None is ``Initialization()``.
    dtype : float32 or float64
        Type of the parameters.
    compute : "bfloat16" or None
        What the operands of the products of recurrent and output layers are rounded to, see `RNN`.
        Sampling does without.
    weights : {"bfloat16", "int8", "int8_dynamic"} or None
        See `weights`.
    rng : numpy Generator, int or None
        Source of the initial parameters and of dropout.
    **cell_options
        Of the one cell: ``nonlinearity`` of "rnn", ``reset`` of "gru".

    Attributes
    ----------
    embedding : Embedding or None
    rnn : RNN, GRU or LSTM
    output : Linear
        The layers; their parameters are views of the model's.

    Examples
    --------
    >>> model = LanguageModel(vocab_size=100, hidden_size=32, num_layers=1, rng=0)
    >>> loss, state = model.loss_and_grad([[0], [1], [2], [3]], [[1], [2], [3], [4]])
    >>> 4 < loss < 5  # near ln 100 = 4.6
    True
    """

    _fixed = frozenset({"vocab_size", "tokenizer", "cell", "embedding", "rnn", "dropout", "output"})

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
        tokenizer: CharTokenizer | None = None,
        initialization: Initialization | None = None,
        dtype: DTypeLike = np.float32,
        compute: str | None = None,
        weights: str | None = None,
        rng: np.random.Generator | int | None = None,
        **cell_options: Any,
    ) -> None:
        super().__init__(dtype, rng)
        self.weights = weights
        self.vocab_size = size("vocab_size", vocab_size)
        if tokenizer is not None:
            instance("tokenizer", tokenizer, CharTokenizer)
            if tokenizer.vocab_size != self.vocab_size:
                raise ValueError(
                    f"tokenizer: expected a vocabulary of vocab_size = {self.vocab_size} tokens, "
                    f"got {tokenizer.vocab_size}"
                )
        self.tokenizer = tokenizer
        self.cell = choice("cell", cell, CELLS)
        layer, own_options = CELLS[self.cell]
        for name in cell_options:
            if name not in own_options:
                takes = ", ".join(sorted(own_options)) or "none"
                raise TypeError(f"{name}: no option of cell {self.cell!r}, which takes {takes}")
        self._cell_options = dict(cell_options)

        shared: dict[str, Any] = {"dtype": self.dtype, "rng": self.rng}
        self.embedding = (
            None if embedding_size is None else Embedding(self.vocab_size, embedding_size, **shared)
        )
        self.rnn = layer(
            self.vocab_size if embedding_size is None else embedding_size,
            hidden_size,
            num_layers,
            bias=bias,
            dropout=dropout,
            compute=compute,
            **shared,
            **cell_options,
        )
        self.dropout = Dropout(dropout, rng=self.rng)
        self.output = Linear(hidden_size, self.vocab_size, bias=bias, compute=compute, **shared)
        embedding = {} if self.embedding is None else {"embedding": self.embedding}
        self._adopt({**embedding, "rnn": self.rnn, "dropout": self.dropout, "output": self.output})
        chosen = Initialization() if initialization is None else initialization
        instance("initialization", chosen, Initialization)
        chosen.apply(self, self.rnn, one_hot=embedding_size is None)

    # --- configuration ---------------------------------------------------------------------------
    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values, without generator and tokenizer."""
        return {
            "vocab_size": self.vocab_size,
            "cell": self.cell,
            "embedding_size": None if self.embedding is None else self.embedding.embedding_size,
            "hidden_size": self.rnn.hidden_size,
            "num_layers": self.rnn.num_layers,
            "bias": self.rnn.bias,
            "dropout": self.rnn.dropout,
            "dtype": self.dtype.name,
            **({} if self.rnn.compute is None else {"compute": self.rnn.compute}),
            **({} if self.weights is None else {"weights": self.weights}),
            **self._cell_options,
        }

    def vocabulary(self) -> list[str] | None:
        """Return the characters in the order of their ids; None for a model of ids only."""
        return None if self.tokenizer is None else list(self.tokenizer.vocabulary)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], vocabulary: Any = None) -> Self:
        """Build a model from `config` and `vocabulary`, with freshly drawn parameters."""
        tokenizer = None if vocabulary is None else CharTokenizer(vocabulary)
        return cls(**config, tokenizer=tokenizer)

    # --- running and training --------------------------------------------------------------------
    def __call__(
        self, ids: IdsLike, state: Any = None, lengths: IdsLike | None = None
    ) -> tuple[Array, Any]:
        """Unnormalised log-probabilities of every next token.

        Parameters
        ----------
        ids : integers [T,B] or [T]
            Tokens read.
        state : state of `rnn`, or None
            Initial state; None is zero.
        lengths : integers [B], or one for ids [T], optional
            Steps of each row; None is T for all. Past the end the ids may be anything.

        Returns
        -------
        logits : array [T,B,V] or [T,V]
            Element t is about token t + 1.
        state : like the argument
            Final state.
        """
        tokens = self._tokens("ids", ids)
        if lengths is not None:
            lengths = lengths_array(lengths, tokens.shape)
            tokens = np.where(within(lengths, tokens.shape), tokens, 0)
        y, state = self.rnn(self._embedded(tokens), state, lengths)
        return self.output(y), state

    def loss(
        self,
        inputs: IdsLike,
        targets: IdsLike,
        state: Any = None,
        lengths: IdsLike | None = None,
    ) -> tuple[float, Any]:
        """Mean cross-entropy of a batch and the final state; no dropout, nothing is kept.

        Parameters, results and errors are those of `loss_and_grad`.
        """
        ids, wanted = self._pair(inputs, targets, lengths)
        y, state = self.rnn(self._embedded(ids), state, lengths)
        losses = self._token_losses(y, wanted)
        return float(losses.sum() / max(1, _count(wanted))), state

    def loss_and_grad(
        self,
        inputs: IdsLike,
        targets: IdsLike,
        state: Any = None,
        lengths: IdsLike | None = None,
        *,
        memory_limit: int | None = None,
    ) -> tuple[float, Any]:
        """Mean cross-entropy of a batch and the final state; adds its gradient to `grads`.

        The gradient is exact for the T steps given (full back-propagation through time). With the
        final state of one batch as the initial state of the next, it is truncated to T steps.

        Parameters
        ----------
        inputs, targets : integers [T,B] or [T]
            Tokens read and the tokens that follow them; targets of -100 do not count.
        state : state of `rnn`, or None
            Initial state; None is zero.
        lengths : integers [B], or one for inputs [T], optional
            Steps of each row; None is T for all. Past the end inputs and targets may be anything
            and do not count.
        memory_limit : int, optional
            Bytes that back-propagation through time may take for what it reads of the steps, see
            `RNN.forward`: long sequences train in the memory of some 2 sqrt(T) steps.

        Returns
        -------
        loss : float
            Mean of -ln p over the targets that count; 0 when none does.
        state : like the argument
            Final state.

        Raises
        ------
        TypeError, ValueError
            When an array is not integers of the shape above, or an id lies outside [0, V).
        """
        ids, wanted = self._pair(inputs, targets, lengths)
        # 1. Forward up to the output layer, keeping what each backward pass needs.
        x, embedding_cache = self._embed(ids)
        _, state, rnn_cache = self.rnn.forward(
            x, state, lengths, memory_limit=memory_limit, needs_output=False
        )
        # 2. Backward in one sweep from the last step: the output layer with its loss, and the
        # recurrent layers.
        count = max(1, _count(wanted))
        loss, dx = self.rnn.backward_cross_entropy(
            self.output,
            wanted,
            rnn_cache,
            scale=1 / count,
            dropout=self.dropout,
            ignore_index=IGNORED,
        )
        self._embed_backward(dx, embedding_cache)
        return loss / count, state

    # --- scoring ---------------------------------------------------------------------------------
    def score(self, tokens: str | IdsLike, weights: str | None = None) -> NDArray[np.float64]:
        """Log-probability of every token but the first, given all tokens before it.

        Parameters
        ----------
        tokens : str, or integers [N]
            Text needs a tokenizer. Any length fits in memory: the text is read in pieces.
        weights : {"float32", "bfloat16", "int8", "int8_dynamic"} or None
            How the matrices are stored, see `rnncore.layers.Stream`; None is the model's own
            choice, `weights`. Narrow ones take one step after the other, as sampling does.

        Returns
        -------
        array [N-1]
            Element t is ln p(x[t+1] | x[0..t]), from the zero state. Empty for N below 2.

        Raises
        ------
        TypeError, ValueError
            When tokens are not integers [N], an id lies outside [0, V), a character is not in the
            vocabulary, the model has no vocabulary for text, or `weights` is not as above.
        """
        ids = self.encode(tokens)
        if self._storage(weights) != "full":
            return self.sampler(weights).score(ids)
        scores = np.zeros(max(0, len(ids) - 1))
        state: Any = None
        for start in range(0, len(scores), _SCORED_AT_ONCE):
            piece = slice(start, min(start + _SCORED_AT_ONCE, len(scores)))
            y, state = self.rnn(self._embedded(self._tokens("ids", ids[piece])), state)
            scores[piece] = -self._token_losses(y, ids[1:][piece])
        return scores

    def perplexity(self, tokens: str | IdsLike, weights: str | None = None) -> float:
        """Perplexity of a text: exp of the mean negative log-probability, see `score`.

        Raises
        ------
        ValueError
            When there are fewer than two tokens; otherwise as `score`.
        """
        scores = self.score(tokens, weights)
        if not scores.size:
            raise ValueError("tokens: expected at least 2 for a perplexity, got fewer")
        return perplexity(-float(scores.mean()))

    @property
    def weights(self) -> str | None:
        """How files, `score`, `sample` and `generate` hold the matrices; None: as they are.

        "bfloat16", "int8" and "int8_dynamic" make the file smaller and sampling faster, see
        `rnncore.layers.Stream`. Files of the last two hold the same numbers; "int8_dynamic" is the
        faster one, and rounds inputs and states too.

        `score`, `perplexity`, `sample` and `generate` round every matrix, the embedding too, as the
        file does: they return the same before `rnncore.save` and after `rnncore.load`. The
        parameters themselves keep their dtype, and every other method uses them as they are; those
        of a model read from such a file are the rounded ones.

        >>> model = LanguageModel(vocab_size=100, hidden_size=32, rng=0)
        >>> model.weights = "int8_dynamic"
        >>> len(model.sample([1], 10))
        10
        """
        return self._weights

    @weights.setter
    def weights(self, value: str | None) -> None:
        self._weights = None if storage(value, self.dtype) == "full" else value

    def _storage(self, weights: str | None) -> str:
        """The kernel's name of what is asked for, or else of the model's choice."""
        return storage(self.weights if weights is None else weights, self.dtype)

    def sampler(self, weights: str | None = None) -> _core.Sampler:
        """Return the kernel's sampler of one sequence, with the present parameters.

        `weights` is how it stores the matrices; None is the model's own choice.
        """
        return _core.Sampler(
            self.rnn.network,
            self.rnn.flat_params,
            None if self.embedding is None else self.embedding.params["weight"],
            self.output.params["weight"],
            self.output.params.get("bias"),
            self._storage(weights),
        )

    # --- training on text ------------------------------------------------------------------------
    def batches(
        self, tokens: str | IdsLike, config: TrainingConfig | None = None
    ) -> tuple[Batches, Batches | None]:
        """Training and validation batches of a text, as `rnncore.training.text_batches`.

        Parameters
        ----------
        tokens : str, or integers [N]
            The whole text; its end is held out for validation. Text needs a tokenizer.
        config : TrainingConfig, optional
            With ``sentences``, every line is a sequence of its own; that needs a tokenizer with the
            line feed.
        """
        config = TrainingConfig() if config is None else config
        instance("config", config, TrainingConfig)
        boundary = self._line_feed() if config.sentences else None
        return text_batches(self.encode(tokens), config, boundary)

    def fit(
        self,
        tokens: str | IdsLike,
        config: TrainingConfig | None = None,
        *,
        path: str | os.PathLike[str] | None = None,
        progress: Progress | None = None,
    ) -> TrainingResult:
        """Train on the `batches` of a text; everything else is that of `rnncore.training.fit`."""
        batches = self.batches(tokens, config)
        return fit(self, *batches, config, path=path, progress=progress)

    def _line_feed(self) -> int:
        """Id of the line feed, which ends a sentence."""
        vocabulary = () if self.tokenizer is None else self.tokenizer.vocabulary
        if "\n" not in vocabulary:
            got = f"one of {len(vocabulary)} without it" if vocabulary else "no vocabulary"
            raise ValueError(
                "sentences: expected a model whose vocabulary has the line feed '\\n' (U+000A), "
                f"got {got}; `text_batches` takes another boundary"
            )
        return vocabulary.index("\n")

    # --- parts -----------------------------------------------------------------------------------
    def _pair(self, inputs: IdsLike, targets: IdsLike, lengths: IdsLike | None) -> tuple[Ids, Ids]:
        """Inputs and targets of one shape, in their ranges; those past the end do not count."""
        ids = self._tokens("inputs", inputs)
        wanted = ids_array("targets", targets)
        check_shape("targets", wanted, ids.shape)
        if lengths is not None:
            counts = within(lengths_array(lengths, ids.shape), ids.shape)
            ids = np.where(counts, ids, 0)
            wanted = np.where(counts, wanted.astype(np.int64), IGNORED)
        # Here, before a mask of dropout is drawn: a call that is refused draws none.
        check_below("inputs", ids, self.vocab_size)
        check_below("targets", wanted, self.vocab_size, IGNORED)
        return ids, wanted

    def _tokens(self, name: str, ids: IdsLike) -> Ids:
        """Ids [T,B] or [T]; floating inputs, which the recurrent layer would take, are refused."""
        tokens = ids_array(name, ids)
        if tokens.ndim not in (1, 2):
            raise ValueError(f"{name}: expected shape [T, B] or [T], got {describe(tokens)}")
        return tokens

    def _embedded(self, ids: Ids) -> Array:
        """Input of the recurrent layers: vectors, or the ids themselves as one-hot vectors."""
        return ids if self.embedding is None else self.embedding(ids)

    def _embed(self, ids: Ids) -> tuple[Array, Any]:
        """`_embedded` for training: with dropout, and with what `_embed_backward` needs."""
        if self.embedding is None:
            return ids, None
        embedded, embedding_cache = self.embedding.forward(ids)
        dropped, dropout_cache = self.dropout.forward(embedded)
        return dropped, (embedding_cache, dropout_cache)

    def _embed_backward(self, dx: Any, caches: Any) -> None:
        if self.embedding is not None:
            embedding_cache, dropout_cache = caches
            self.embedding.backward(self.dropout.backward(dx, dropout_cache), embedding_cache)

    def _token_losses(self, y: Array, targets: Ids) -> NDArray[np.float64]:
        """-ln p of targets [...] given outputs [...,H], in blocks: logits are never held whole."""
        return _core.linear_cross_entropy(
            y.reshape(-1, self.rnn.hidden_size),
            self.output.params["weight"],
            self.output.params.get("bias"),
            targets.reshape(-1),
            IGNORED,
            self.output.compute,
        )


def _count(targets: Ids) -> int:
    """Targets that count."""
    return int(np.count_nonzero(targets != IGNORED))
