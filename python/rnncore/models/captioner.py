"""Captioner: a sentence about a picture, word by word."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rnncore._check import Array, choice, flag, size
from rnncore._keywords import strict_keywords
from rnncore.data import Batch, PairBatches, split_shuffled
from rnncore.heads import Softmax
from rnncore.layers import (
    Add,
    Attention,
    Concatenate,
    Dropout,
    Embedding,
    Repeat,
    Linear,
    Pooling,
    Repeat,
    Tanh,
    recurrent,
    require_cell_options,
)
from rnncore.losses import perplexity
from rnncore.models.model import Model
from rnncore.models.passes import Pass
from rnncore.models.pictures import as_grid, caption_ids, picture_regions
from rnncore.text import Tokenizer, as_tokenizer
from rnncore.training import TrainingConfig, TrainingResult, fit

__all__ = ["Captioner"]

_AT_ONCE = 64

#: How a picture begins the decoder.
STARTS = ("first_input", "initial_state")


class Captioner(Model):
    r"""Probability of the words of a caption, given features of a picture.

    A picture begins the decoder in one of two ways. As the first input, it is projected to the
    width of the embedding and read before the first word (Vinyals et al. 2015, arXiv 1411.4555). As
    the initial state, it is mapped to the states of all layers by linear layers and tanh.

    Over a grid of regions, the decoder may also attend (Xu et al. 2015, arXiv 1502.03044). The
    memory of region r is ``a_r = W f_r + e_r``, where the vector e_r is learned and says where the
    region lies. A picture then begins the decoder with the mean of its memory, and word t follows
    from the output y_t and the context c_t that the decoder reads:

    .. math:: p_t = softmax(L_o (L_y y_t + L_c c_t + l) + b)

    Parameters
    ----------
    input_size : int
        Width I of the features of a picture or, with a grid, of a region.
    tokenizer : tokenizer
        Of the captions; anything that `rnncore.text.as_tokenizer` takes, with tokens that begin and
        end sentences.
    grid : None, int or (int, int)
        Regions of a picture: None is one vector [I], R is [R,I], (rows, columns) is
        [rows,columns,I].
    start : {"first_input", "initial_state"}
        How a picture begins the decoder. Without attention, all regions are its vector.
    attention : {"general", "dot", "additive"} or None
        Score by which the decoder weighs the regions, see `Attention`; None: it does not attend.
    num_heads : int
        Heads of the attention.
    memory_size : int or None
        Width M of the memory of a region; None is `hidden_size`.
    cell : {"lstm", "gru", "rnn"}
        Kind of recurrent layer.
    embedding_size : int
        Width E of the embedding of words.
    hidden_size : int
        Units H of each recurrent layer.
    num_layers : int
        Number of recurrent layers.
    dropout : float
        Probability of dropping an element of what the first layer reads, of what one layer gives to
        the next, of the memory, and of the input of the output layer.
    tie_weights : bool
        Whether the output layer takes the matrix of the embedding, see `heads.Softmax`. Without
        attention, `embedding_size` is then `hidden_size`.
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
    >>> import numpy as np, rnncore as rc
    >>> pictures = np.eye(2)  # features [N,I]
    >>> captions = ["a red circle", "two blue squares"]
    >>> model = rc.Captioner(2, rc.text.WordTokenizer.fit(captions), hidden_size=32, rng=0)
    >>> config = rc.training.TrainingConfig(epochs=60, validation_fraction=0)
    >>> result = model.fit(pictures, captions, config)
    >>> [caption.text for caption in model.caption(pictures)]
    ['a red circle', 'two blue squares']
    """

    _fixed = frozenset({"embedding", "rnn", "output"})

    def __init__(
        self,
        input_size: int,
        tokenizer: Any,
        *,
        grid: int | tuple[int, int] | None = None,
        start: str = "first_input",
        attention: str | None = None,
        num_heads: int = 1,
        memory_size: int | None = None,
        cell: str = "lstm",
        embedding_size: int = 128,
        hidden_size: int = 256,
        num_layers: int = 1,
        dropout: float = 0.0,
        tie_weights: bool = False,
        dtype: DTypeLike = np.float32,
        compute: str | None = None,
        rng: np.random.Generator | int | None = None,
        **cell_options: Any,
    ) -> None:
        super().__init__(dtype, rng)
        require_cell_options(cell, cell_options, Captioner)
        self.input_size = size("input_size", input_size)
        self.tokenizer: Tokenizer = as_tokenizer(tokenizer)
        if self.tokenizer.start is None or self.tokenizer.end is None:
            raise ValueError(
                "tokenizer: expected tokens that begin and end sentences, <s> and </s> or the "
                f"line feed, got {self.tokenizer!r}"
            )
        self.grid = as_grid(grid)
        num_regions = int(np.prod(self.grid))
        vocab_size = self.tokenizer.vocab_size
        shared: dict[str, Any] = {"dtype": self.dtype, "rng": self.rng}
        width, units = size("embedding_size", embedding_size), size("hidden_size", hidden_size)
        tied = flag("tie_weights", tie_weights)

        vector_size = num_regions * self.input_size
        if attention is not None:
            if not self.grid:
                raise ValueError("attention: expected a grid of regions to attend to, got grid=None")
            vector_size = units if memory_size is None else size("memory_size", memory_size)
            self.memory = Linear(self.input_size, vector_size, compute=compute, **shared)
            self.places = Embedding(num_regions, vector_size, std=vector_size**-0.5, **shared)
            self.add, self.mean, self.join = Add(), Pooling("mean"), Concatenate()
            self.attend = Attention(
                units, vector_size, score=attention, num_heads=num_heads, compute=compute, **shared
            )
            self.combine = Linear(units + vector_size, width, compute=compute, **shared)
        elif tied and width != units:
            raise ValueError(
                f"tie_weights: expected embedding_size = hidden_size = {units}, got {width}"
            )
        std = width**-0.5 if tied else 1.0
        self.embedding = Embedding(vocab_size, width, std=std, **shared)
        self.rnn = recurrent(
            *(cell, width, units, num_layers),
            owner=Captioner,
            cell_options=cell_options,
            dropout=dropout,
            compute=compute,
            **shared,
        )
        if choice("start", start, STARTS) == "first_input":
            self.begin = Linear(vector_size, width, compute=compute, **shared)
        else:
            self.begin = [
                InitialState(vector_size, units, num_layers, compute=compute, **shared)
                for _ in self.rnn.state_names
            ]
        self.drop = Dropout(dropout, rng=self.rng)
        self.output = Softmax(
            *(units if attention is None else width, vocab_size),
            tied=self.embedding if tied else None,
            compute=compute,
            **shared,
        )

    @property
    def unit(self) -> str:  # type: ignore[override]
        """What the tokenizer calls a token: "word", "character", ..."""
        return self.tokenizer.unit

    def metrics(self, loss: float) -> dict[str, float]:
        """Return the perplexity of a mean loss."""
        return {"perplexity": perplexity(loss)}

    # --- running and training --------------------------------------------------------------------
    def compute(self, run: Pass, batch: Batch, state: Any = None) -> None:
        """Memory, first input or initial state, recurrent layers, attention and output layer."""
        regions, tokens = batch.inputs
        memory, first = self.picture(run, regions)
        x = run(self.drop, run(self.embedding, tokens))
        y, _ = run(self.rnn, x, first, lengths=batch.lengths[1])
        if memory is not None:
            y = run(self.combine, run(self.join, y, run(self.attend, y, memory)))
        run.loss(self.output, run(self.drop, y), batch.targets)

    def picture(self, run: Pass, regions: Array) -> tuple[Any, Any]:
        """Return the memory [R,B,M], or None, and the state before the first word.

        Parameters
        ----------
        run : Pass
            Runs the layers.
        regions : array [R,B,I]
            Features of B pictures.
        """
        num_regions, count, _ = regions.shape
        memory = None
        if self.attention is None:
            vector = np.ascontiguousarray(regions.swapaxes(0, 1)).reshape(count, -1)
        else:
            numbers = np.repeat(np.arange(num_regions)[:, np.newaxis], count, axis=1)
            projected = run(self.memory, np.ascontiguousarray(regions))
            memory = run(self.drop, run(self.add, projected, run(self.places, numbers)))
            vector = run(self.mean, memory)
        if self.start == "initial_state":
            first = tuple(run(layer, vector) for layer in self.begin)
            return memory, first if len(first) > 1 else first[0]
        _, first = run(self.rnn, run(self.step, run(self.drop, run(self.begin, vector))))
        return memory, first
