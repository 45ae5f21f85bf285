"""Captioner: a sentence about a picture, word by word."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rnncore import _restoring, init
from rnncore._check import Array, check_shape, choice, flag, instance, size
from rnncore._keywords import strict_keywords
from rnncore.data import IGNORED, Batch, PairBatches, Standardization, split_shuffled
from rnncore.heads import Softmax
from rnncore.layers import (
    LSTM,
    Add,
    Concatenate,
    Dropout,
    Embedding,
    Linear,
    Pooling,
    Repeat,
    Tanh,
    require_cell_options,
)
from rnncore.models.bridge import Bridge
from rnncore.models.captioning import Caption, captions
from rnncore.models.decoders import (
    ATTENDING,
    DECODERS,
    Decoder,
    Encoded,
    require_attention_options,
)
from rnncore.models.inputs import padded_ids
from rnncore.models.model import Model
from rnncore.models.passes import Pass
from rnncore.models.pictures import as_grid, caption_ids, picture_regions
from rnncore.models.scoring import pair_scores
from rnncore.progress import perplexity
from rnncore.text import Tokenizer, as_tokenizer
from rnncore.training import TrainingConfig, TrainingResult, fit

__all__ = ["Captioner"]

# Of standardized features: the steps of Adam would saturate the memory of wide ones.
_LARGEST_NORM = 16.0
_STARTS = ("first_input", "initial_state")


class Captioner(Model):
    r"""Probability of the words of a caption, given features of a picture.

    The memory of region r of a picture is ``a_r = tanh(W f_r + e_r)``, where the vector e_r is
    learned and says where the region lies. The mean of the memory begins the decoder in one of two
    ways: as its first input, before the first word (Vinyals et al. 2015, arXiv 1411.4555), or as
    its initial state, by a `Bridge`. `context` says what else of the picture the decoder reads:

    - "attention": outputs of the decoder attend to the regions, all words at once (as Xu et al.
      2015, arXiv 1502.03044, with the attention of Luong et al. 2015, arXiv 1508.04025).
    - "input_feeding": the same, and each step reads what the step before has attended to.
    - "conditional": the cell attends in the middle of its step.
    - "fixed": the whole picture, in every step.
    - "state": nothing.

    For the last two all regions together are one.

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
    context : {"attention", "input_feeding", "conditional", "fixed", "state"} or None
        See above; None: "attention" where there is a grid, otherwise "state".
    start : {"first_input", "initial_state"}
        How a picture begins the decoder.
    score : {"general", "dot", "additive"}
        How attention compares, see `Attention`.
    attention_size : int or None
        See `Attention`.
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
    tie_weights : bool
        Whether the output layer takes the matrix of the embedding, see `heads.Softmax`.
    dropout : float
        Probability of dropping an element of the memory, of what the first layer reads, of what one
        layer gives to the next, and of the input of the output layer.
    label_smoothing : float
        See `heads.Softmax`.
    standardization : Standardization or None
        See `standardization`.
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
    >>> model.caption(pictures)
    ['a red circle', 'two blue squares']
    """

    _fixed = frozenset({"embedding", "writer", "output"})

    def __init__(
        self,
        input_size: int,
        tokenizer: Any,
        *,
        grid: int | tuple[int, int] | None = None,
        context: str | None = None,
        start: str = "first_input",
        score: str = "general",
        attention_size: int | None = None,
        num_heads: int = 1,
        memory_size: int | None = None,
        cell: str = "lstm",
        embedding_size: int = 128,
        hidden_size: int = 256,
        num_layers: int = 1,
        tie_weights: bool = False,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        standardization: Standardization | None = None,
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
        self.context = ("attention" if self.grid else "state") if context is None else context
        attends = choice("context", self.context, DECODERS) in ATTENDING
        if attends and not self.grid:
            raise ValueError(f"grid: expected regions for context={context!r}, got None")
        attention = {"score": score, "attention_size": attention_size, "num_heads": num_heads}
        require_attention_options(self.context, attention)
        if self.context in ("input_feeding", "conditional") and num_layers != 1:
            raise ValueError(
                f"num_layers: expected 1 for context={self.context!r}, got {num_layers!r}"
            )
        num_regions = int(np.prod(self.grid, dtype=np.int64))
        width, units = size("embedding_size", embedding_size), size("hidden_size", hidden_size)
        memory_size = units if memory_size is None else size("memory_size", memory_size)
        tied = flag("tie_weights", tie_weights)
        shared: dict[str, Any] = {"dtype": self.dtype, "rng": self.rng}
        products: dict[str, Any] = {"compute": compute, **shared}

        #: Regions that the memory has, and the width of each.
        self._regions = (num_regions if attends else 1, self.input_size)
        if not attends:
            self._regions = (1, num_regions * self.input_size)
        self.standardization = standardization
        self.memory = Linear(self._regions[1], memory_size, bias=False, **products)
        self.places = Embedding(self._regions[0], memory_size, std=memory_size**-0.5, **shared)
        self.add, self.tanh, self.mean = Add(), Tanh(), Pooling("mean")
        self.embedding = Embedding(self.vocab_size, width, std=width**-0.5, **shared)
        outputs = width if tied else units
        options = {"owner": Captioner, "cell_options": cell_options, "dropout": dropout}
        sizes = SimpleNamespace(
            cell=cell,
            embedding=width,
            hidden=units,
            layers=num_layers,
            memory=memory_size,
            output=outputs,
            bidirectional=False,
            attention=attention,
        )
        self.writer: Decoder = DECODERS[self.context](sizes, options, products)
        if choice("start", start, _STARTS) == "first_input":
            self.first, self.once = Linear(memory_size, width, **products), Repeat()
            self.behind = Concatenate(axis=0)
        else:
            parts = 2 if cell == "lstm" else 1  # h, and c
            self.bridges = [
                Bridge((1, num_layers), (memory_size, units), 1, **products) for _ in range(parts)
            ]
            self.once = Repeat()
        self.drop = Dropout(dropout, rng=self.rng)
        self.output = Softmax(
            *(outputs, self.vocab_size),
            tied=self.embedding if tied else None,
            label_smoothing=label_smoothing,
            **products,
        )
        if cell == "lstm" and not _restoring.is_restoring():
            for layer in self.modules():
                if isinstance(layer, LSTM):
                    init.forget_gate_bias(layer, 1.0)

    @property
    def vocab_size(self) -> int:
        """Number of tokens V of the tokenizer."""
        return self.tokenizer.vocab_size

    @property
    def standardization(self) -> Standardization | None:
        """How features are standardized before they are read; None: not at all.

        `fit` takes that of its pictures where there is none yet.
        """
        return self._standardization

    @standardization.setter
    def standardization(self, value: Standardization | None) -> None:
        if value is not None:
            instance("standardization", value, Standardization)
            check_shape("standardization.mean", value.mean, (self._regions[1],))
        self._standardization = value

    @property
    def unit(self) -> str:  # type: ignore[override]
        """What the tokenizer calls a token: "word", "character", ..."""
        return self.tokenizer.unit

    def metrics(self, loss: float) -> dict[str, float]:
        """Return the perplexity of a mean loss."""
        return {"perplexity": perplexity(loss)}

    # --- what it computes ------------------------------------------------------------------------
    def compute(self, run: Pass, batch: Batch, state: Any = None) -> None:
        """Memory, first input or initial state, decoder and output layer."""
        regions, tokens = batch.inputs
        lengths, targets = np.asarray(batch.lengths[1]), batch.targets
        tokens = padded_ids("inputs[1]", tokens, lengths, self.vocab_size)
        encoded, first = self.encode(run, regions)
        x = run(self.drop, run(self.embedding, tokens))
        if first is not None:  # its step has no target
            x, lengths = run(self.behind, first, x), lengths + 1
            if targets is not None:
                targets = np.pad(targets, ((1, 0), (0, 0)), constant_values=IGNORED)
        y = self.writer.compute(run, x, encoded, lengths)
        run.loss(self.output, run(self.drop, y), targets)

    def encode(self, run: Pass, regions: Array) -> tuple[Encoded, Any]:
        """Return what the decoder knows of pictures [R,B,I], and its first input [1,B,E] or None.

        R and I are those of the memory: of "fixed" and "state" R is 1.
        """
        num_regions, count, _ = regions.shape
        numbers = np.repeat(np.arange(num_regions)[:, np.newaxis], count, axis=1)
        sums = run(self.add, run(self.memory, regions), run(self.places, numbers))
        memory = run(self.drop, run(self.tanh, sums))
        mean = run(self.once, run(self.mean, memory), num_steps=1)  # [1,B,M]
        ends = np.full(count, num_regions)
        if self.start == "first_input":
            return Encoded(memory, ends, None), run(self.drop, run(self.first, mean))
        states = tuple(run(bridge, mean) for bridge in self.bridges)
        return Encoded(memory, ends, states if len(states) > 1 else states[0]), None

    # --- training --------------------------------------------------------------------------------
    @strict_keywords()
    def batches(
        self,
        features: Any,
        captions: Iterable[Any],
        batch_size: int = 32,
        *,
        seed: int | None = None,
    ) -> PairBatches:
        """Return batches of captions with the regions of their pictures; see `fit`."""
        return PairBatches(*_pairs(*self._examples(features, captions)), batch_size, seed=seed)

    def fit(
        self,
        features: Any,
        captions: Iterable[Any],
        config: TrainingConfig | None = None,
        *,
        validation: tuple[Any, Iterable[Any]] | None = None,
        **options: Any,
    ) -> TrainingResult:
        """Train on pictures with their captions.

        Parameters
        ----------
        features : array, or list of N arrays
            Features of each picture: [I] or, with a grid, [R,I] or [rows,columns,I]. With a grid of
            rows and columns also pictures, bytes [H,W,C]: they are cut into the patches of the
            grid, see `rnncore.data.patches`. Float64 is converted.
        captions : list of N str, or of N lists of str
            The caption of each picture, or several.
        config : TrainingConfig, optional
            Its share of the pictures, drawn with its seed, is held out for validation.
        validation : (features, captions), optional
            What is held out instead.
        **options
            Of `rnncore.training.fit`: ``path``, ``overwrite``, ``progress``.

        Returns
        -------
        TrainingResult
            Its training losses are those with label smoothing and dropout, its validations without.

        Raises
        ------
        TypeError, ValueError
            If the features or captions of a picture do not fit, by its number, or there is not one
            caption for each. Otherwise as `rnncore.training.fit`.
        """
        config = TrainingConfig() if config is None else config
        if self.standardization is None:
            self.standardization = Standardization.of(self.regions(features), _LARGEST_NORM)
        examples = self._examples(features, captions)
        if validation is None:
            examples, held_out = split_shuffled(examples, config.validation_fraction, config.seed)
        else:
            held_out = self._examples(*validation)
        training = PairBatches(*_pairs(*examples), config.batch_size, seed=config.seed)
        checked = PairBatches(*_pairs(*held_out), config.batch_size) if held_out[0] else None
        return fit(self, training, checked, config, **options)

    # --- use -------------------------------------------------------------------------------------
    def caption(
        self, features: Any, beam_size: int = 5, n_best: int = 1, **options: Any
    ) -> list[Any]:
        """Return the most probable captions that a beam search finds.

        Parameters
        ----------
        features : array, or list of N arrays
            As in `fit`.
        beam_size : int
            Hypotheses that are kept of each picture; 1 is greedy.
        n_best : int
            Captions of each picture, at most; from 1 to `beam_size`.
        **options
            Of `rnncore.decode.beam_search`: ``max_length``, ``length_penalty``, ...

        Returns
        -------
        list of str
            A text for each picture; a list of them where `n_best` is above 1.

        Raises
        ------
        TypeError, ValueError
            If the features of a picture do not fit, by its number, or an option is not as above.
        """
        found = self.captions(features, beam_size, n_best, **options)
        texts = [[each.text for each in best] for best in found]
        return [best[0] for best in texts] if n_best == 1 else texts

    def captions(
        self, features: Any, beam_size: int = 5, n_best: int = 1, **options: Any
    ) -> list[list[Caption]]:
        """Return the captions of each picture with scores and weights, the best first.

        Parameters and errors are those of `caption`.
        """
        return captions(self, self.regions(features), beam_size, n_best, **options)

    def score(self, features: Any, captions: Iterable[Any]) -> NDArray[np.float64]:
        """Return the log-probability ln p(caption | picture) of each caption, the end included.

        Parameters
        ----------
        features, captions
            As in `fit`.

        Returns
        -------
        float64 array [K]
            A number for each caption; those of one picture stand together.

        Raises
        ------
        TypeError, ValueError
            As `fit`.
        """
        return pair_scores(self, *_pairs(*self._examples(features, captions)))

    def regions(self, features: Any) -> Array:
        """Return features as the regions [N,R,I] that `compute` reads: checked and standardized."""
        given = picture_regions(features, self.grid, self.input_size, self.dtype)
        regions = given.reshape(len(given), *self._regions)
        return regions if self.standardization is None else self.standardization(regions)

    def _examples(self, features: Any, captions: Iterable[Any]) -> tuple[list[Any], list[Any]]:
        """Return the regions of each picture, and the ids of each of its captions."""
        regions = self.regions(features)
        return list(regions), caption_ids(captions, len(regions), self.tokenizer)


def _pairs(regions: list[Any], captions: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return a picture for each caption."""
    pairs = [(r, c) for r, ids in zip(regions, captions, strict=True) for c in ids]
    return [r for r, _ in pairs], [c for _, c in pairs]
