"""A language model whose most probable continuations are searched."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from rnncore._check import describe, size
from rnncore.data.batch import IdsLike
from rnncore.decode.beam import beam_search
from rnncore.decode.protocol import StepDecoder
from rnncore.decode.sampled import Sampled
from rnncore.text.streaming import Detokenizer

__all__ = ["Searched"]


class Searched(Sampled):
    """A model that is sampled from, and searched by `beam_search`."""

    @abstractmethod
    def decoder(self, weight_format: str | None = None, contexts: Any = None) -> StepDecoder:
        """Return the model as `rnncore.decode` searches it, with its present parameters."""

    def beam_search(
        self,
        prompts: Sequence[str] | Sequence[IdsLike],
        length: int = 100,
        *,
        weight_format: str | None = None,
        contexts: Any = None,
        stop_at_end: bool | None = None,
        **options: Any,
    ) -> list[list[tuple[Any, float]]]:
        """Continue prompts by what is most probable, all in one batch.

        Parameters
        ----------
        prompts : list of str, or of integers [N]
            As of `sample`: each is read from the zero state.
        length : int
            Tokens to write for each, at most.
        weight_format : {"float32", "bfloat16", "int8", "int8_dynamic"} or None
            How the matrices are stored; None is the model's own choice.
        contexts : array [count,C], or None
            What a model with ``context_size`` reads with each prompt.
        stop_at_end : bool or None
            As of `sample`: whether the end token of the tokenizer ends a continuation.
        **options
            Of `rnncore.decode.beam_search`: ``beam_size``, ``n_best``, ``length_penalty``, ...

        Returns
        -------
        list of list of (str or int64 array, float)
            For each prompt its best continuations and their scores, the best first. Of a text, the
            prompt and what continues it; of ids, the new ids only, without the end token. A score
            counts the prompt but its first token.

        Raises
        ------
        TypeError, ValueError
            As `sample` and `rnncore.decode.beam_search`.

        Examples
        --------
        >>> import rnncore as rc
        >>> model = rc.LanguageModel(vocab_size=6, hidden_size=8, rng=0)
        >>> ((best,),) = model.beam_search([[0, 3]], 5, beam_size=3)
        >>> ids, score = best
        >>> len(ids)
        5
        """
        if isinstance(prompts, str):
            raise TypeError(f"prompts: expected a list of them, got {describe(prompts)}")
        given = list(prompts)
        read = [self._opened(prompt, f"prompts[{n}]") for n, prompt in enumerate(given)]
        found = beam_search(
            self.decoder(weight_format, contexts),
            len(given),
            start=np.array([ids[0] for ids in read], np.int64),
            end=self._end(stop_at_end),
            prefixes=[ids[1:] for ids in read],
            max_length=np.array([len(ids) - 1 for ids in read], np.int64) + size("length", length),
            **options,
        )
        results: list[list[tuple[Any, float]]] = []
        for prompt, ids, hypotheses in zip(given, read, found, strict=True):
            results.append([])
            for hypothesis in hypotheses:
                new = hypothesis.tokens[len(ids) - 1 :]
                text = self._continued(prompt, ids, new) if isinstance(prompt, str) else new
                results[-1].append((text, hypothesis.score))
        return results

    def _continued(self, prompt: str, ids: Any, new: Any) -> str:
        """Return a prompt with the text of what continues it."""
        vocabulary = self._vocabulary("prompts")
        return "".join([prompt, *Detokenizer(vocabulary, ids).stream([new])])
