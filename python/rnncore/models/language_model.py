"""A recurrent language model: [embedding] -> recurrent layers -> linear layer -> softmax."""

from __future__ import annotations

import os
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

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
from rnncore.decode import Sampled
from rnncore.heads import Softmax
from rnncore.layers import Dropout, Embedding, recurrent
from rnncore.models.initialization import Initialization
from rnncore.models.model import Model
from rnncore.models.passes import Pass
from rnncore.models.presets import PRESETS
from rnncore.models.stepping import LanguageModelDecoder
from rnncore.models.texts import checked_batch, sentence_tokens, text_ids
from rnncore.progress import bits, perplexity
from rnncore.text import as_tokenizer
from rnncore.training import TrainingConfig, TrainingResult, fit, text_batches

__all__ = ["LanguageModel"]

# Steps whose outputs are held at once while a long text is scored: enough to keep the kernels
# busy, and at a hidden size of 1024 still only 4 MB.
_SCORED_AT_ONCE = 1024


class LanguageModel(Model, Sampled):
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
        rng: np.random.Generator | int | None = None,
        **cell_options: Any,
    ) -> None:
        super().__init__(dtype, rng)
        self.weight_format = weight_format
        self.vocab_size = size("vocab_size", vocab_size)
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
            self.vocab_size if embedding_size is None else embedding_size,
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
        chosen = Initialization() if initialization is None else initialization
        chosen = named_config("initialization", chosen, Initialization)
        if not _restoring.is_restoring():
            chosen.apply(self, self.rnn, one_hot=embedding_size is None)

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
        y, final = run(self.rnn, x, state, lengths=batch.lengths)
        run.loss(self.output, run(self.drop, y), targets)
        return final

    def __call__(
        self, ids: IdsLike, state: Any = None, lengths: IdsLike | None = None
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

        Returns
        -------
        logits : array [T,B,V] or [T,V]
            Element t is about token t + 1.
        state : like the argument
            Final state.
        """
        ((head, y),), final = self.outputs(Batch(ids, lengths=lengths), state)
        return head(y), final

    def metrics(self, loss: float) -> dict[str, float]:
        """Return perplexity and bits per token of a mean loss."""
        unit = "token" if self.tokenizer is None else self.tokenizer.unit
        return {"perplexity": perplexity(loss), f"bits/{unit}": bits(loss)}

    # --- scoring ---------------------------------------------------------------------------------
    def score(self, tokens: str | IdsLike, weight_format: str | None = None) -> NDArray[np.float64]:
        """Log-probability of every token but the first, given all tokens before it.

        Parameters
        ----------
        tokens : str, or integers [N]
            Text needs a tokenizer. Any length fits in memory: the text is read in pieces.
        weight_format : {"float32", "bfloat16", "int8", "int8_dynamic"} or None
            How the matrices are stored, see `rnncore.layers.Stream`; None is the model's own
            choice, `weight_format`. Narrow ones take one step after the other, as sampling does.

        Returns
        -------
        array [N-1]
            Element t is ln p(x[t+1] | x[0..t]), from the zero state. Empty for N below 2.

        Raises
        ------
        TypeError, ValueError
            When tokens are not integers [N], an id lies outside [0, V), a character is not in the
            vocabulary, the model has no vocabulary for text, or `weight_format` is not as above.
        """
        ids = self.encode(tokens)
        if self._storage(weight_format) != "full":
            return self.sampler(weight_format).score(ids)
        scores = np.zeros(max(0, len(ids) - 1))
        state: Any = None
        for start in range(0, len(scores), _SCORED_AT_ONCE):
            piece = slice(start, min(start + _SCORED_AT_ONCE, len(scores)))
            (losses,), state = self.losses(Batch(ids[:-1][piece], ids[1:][piece]), state)
            scores[piece] = -losses
        return scores

    def perplexity(self, tokens: str | IdsLike, weight_format: str | None = None) -> float:
        """Perplexity of a text: exp of the mean negative log-probability, see `score`.

        Raises
        ------
        ValueError
            When there are fewer than two tokens; otherwise as `score`.
        """
        scores = self.score(tokens, weight_format)
        if not scores.size:
            raise ValueError("tokens: expected at least 2 for a perplexity, got fewer")
        return perplexity(-float(scores.mean()))

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
    def sampler(self, weight_format: str | None = None) -> _core.Sampler:
        """Return the kernel's sampler of one sequence, with the present parameters.

        `weight_format` is how it stores the matrices; None is the model's own choice.
        It takes one call at a time; ``sampler.copy()`` gives each thread its own.
        """
        return _core.Sampler(
            self.rnn.network,
            self.rnn.flat_params,
            None if self.embedding is None else self.embedding.params["weight"],
            self.output.weight,
            self.output.params.get("bias"),
            self._storage(weight_format),
        )

    def decoder(self) -> LanguageModelDecoder:
        """Return the model as `rnncore.decode` searches it, with its present parameters."""
        return LanguageModelDecoder(self)

    # --- training on text ------------------------------------------------------------------------
    @strict_keywords()
    def batches(
        self, tokens: str | IdsLike | os.PathLike[str], config: TrainingConfig | None = None
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
        """
        config = TrainingConfig() if config is None else config
        instance("config", config, TrainingConfig)
        if not config.sentences:
            return text_batches(text_ids(self, tokens), config)
        start, end, line_end = sentence_tokens(self.tokenizer)
        return text_batches(text_ids(self, tokens), config, line_end, start, end)

    def fit(
        self,
        tokens: str | IdsLike | os.PathLike[str],
        config: TrainingConfig | None = None,
        **options: Any,
    ) -> TrainingResult:
        """Train on the `batches` of a text.

        Parameters
        ----------
        tokens, config
            As of `batches`.
        **options
            Of `rnncore.training.fit`: ``path``, ``progress``, ``checkpoint_every``, ...
        """
        batches = self.batches(tokens, config)
        self.sentences = config is not None and config.sentences
        return fit(self, *batches, config, **options)
