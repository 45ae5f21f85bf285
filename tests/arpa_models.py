"""N-gram models for tests: their files, and their probabilities as the definition says."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import rnncore as rc

Gram = tuple[str, ...]


class Katz:
    """Backoff model: log10 p of n-grams, log10 of backoff weights of histories."""

    def __init__(self, log10: dict[Gram, float], backoff: dict[Gram, float]) -> None:
        self.log10, self.backoff = log10, backoff
        self.order = max(map(len, log10))
        self.words = [gram[0] for gram in log10 if len(gram) == 1]

    def score(self, word: str, history: Sequence[str]) -> float:
        """log10 p(word | history), by the recursion of the definition."""
        if (word,) not in self.log10:  # and there is no <unk>
            return -99.0
        h = tuple(history)[max(0, len(history) - self.order + 1) :]
        if (*h, word) in self.log10:
            return self.log10[(*h, word)]
        return self.backoff.get(h, 0.0) + self.score(word, h[1:])

    def sentence(
        self, words: Sequence[str], *, start: bool = True, end: bool = True
    ) -> list[float]:
        known = [w if (w,) in self.log10 else "<unk>" for w in words]
        text = ["<s>"] * start + known + ["</s>"] * end
        return [self.score(text[i], text[:i]) for i in range(int(start), len(text))]

    def text(self) -> str:
        grams: list[list[Gram]] = [
            [g for g in self.log10 if len(g) == n] for n in range(1, self.order + 1)
        ]
        lines = ["\\data\\", *(f"ngram {n}={len(g)}" for n, g in enumerate(grams, 1)), ""]
        for n, of_order in enumerate(grams, 1):
            lines.append(f"\\{n}-grams:")
            for gram in of_order:
                weight = f"\t{self.backoff[gram]:.7f}" if gram in self.backoff else ""
                lines.append(f"{self.log10[gram]:.7f}\t{' '.join(gram)}{weight}")
            lines.append("")
        return "\n".join([*lines, "\\end\\", ""])

    def load(self, folder: Path) -> rc.ctc.NGram:
        path = folder / "model.arpa"
        path.write_text(self.text(), "utf-8")
        return rc.ctc.NGram.from_arpa(path)


def random_model(
    rng: np.random.Generator, words: Sequence[str], order: int, share: float = 0.5
) -> Katz:
    """A proper model: of each history that occurs the probabilities add up to 1.

    A random part of the n-grams is in the model, each after histories that are; what is left to the
    others is spread as the shorter history says.
    """
    vocabulary = [*words, "</s>"]
    log10: dict[Gram, float] = {("<s>",): -99.0}
    p = rng.dirichlet(np.ones(len(vocabulary)))
    log10.update({(w,): float(np.log10(q)) for w, q in zip(vocabulary, p, strict=True)})
    backoff: dict[Gram, float] = {}
    model = Katz(log10, backoff)
    for n in range(2, order + 1):
        model.order = n - 1
        histories = [g for g in log10 if len(g) == n - 1 and g[-1] != "</s>"]
        new: dict[Gram, float] = {}
        for h in histories:
            chosen = [w for w in vocabulary if rng.random() < share]
            if not chosen or len(chosen) == len(vocabulary):
                continue
            mass = rng.uniform(0.3, 0.8)
            parts = rng.dirichlet(np.ones(len(chosen))) * mass
            new.update({(*h, w): float(np.log10(q)) for w, q in zip(chosen, parts, strict=True)})
            shorter = sum(10 ** model.score(w, h[1:]) for w in vocabulary if w not in chosen)
            backoff[h] = float(np.log10((1 - mass) / shorter))
        log10.update(new)
        model.order = n
    model.order = max(map(len, log10))
    return model


def histories(words: Sequence[str], length: int) -> list[Gram]:
    return [h for n in range(length + 1) for h in itertools.product(words, repeat=n)]
