"""``rnncore translate``: a line of another language for each line of a text."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from io import StringIO
from itertools import islice
from typing import Any

from rnncore import _files, _help
from rnncore._check import integer
from rnncore.cli.files import load_translator, read_text, standard_lines
from rnncore.cli.parser import OptionGroup, add_weight_format, defaults_of, keywords
from rnncore.cli.terminal import shown
from rnncore.decode import beam_search
from rnncore.models import Translation

__all__ = ["HELP", "add_options", "run"]

HELP = "translate each line of a text"

_SEARCH = "search"
# Lines of a file that are read at a time: many batches, of lines that are sorted by length.
_AT_ONCE = 1024


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Print the translation of each line of a text; that of an empty line is empty. Each line "
        "of standard input is answered before the next is read, unless --batch says otherwise."
    )
    parser.add_argument("model", metavar="MODEL", help="file of a trained translator")
    parser.add_argument(
        "file", metavar="FILE", nargs="?", help="text in UTF-8 (default: standard input)"
    )
    batch = "lines of standard input that are read at a time: faster (default: 1)"
    parser.add_argument("--batch", type=int, metavar="N", default=1, help=batch)
    parser.add_argument(
        "--n-best",
        type=int,
        metavar="N",
        default=1,
        help="translations of each line, at most; above 1, each is printed as the number of its "
        "line, a tab, its score, a tab, and the translation",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print an object for each line, with the scores and alignments of its translations",
    )
    plot = "picture of the attention in the first line that is not empty; it needs rnncore[plot]"
    parser.add_argument("--plot", metavar="PICTURE", help=plot)
    parser.add_argument(
        "--keep-unknown",
        action="store_true",
        help="leave unknown words unknown; otherwise the source word that each attends to most "
        "stands in its place",
    )
    add_weight_format(parser)
    search = OptionGroup(parser, _SEARCH, defaults_of(beam_search))
    number: dict[str, Any] = {"type": int, "metavar": "N"}
    factor: dict[str, Any] = {"type": float, "metavar": "X"}
    search.add("--beam-size", "beam_size", "hypotheses that are kept; 1 is greedy", **number)
    longest = "tokens of a translation at most (default: twice those of the line, and ten)"
    parser.add_argument("--max-length", type=int, metavar="N", help=longest)
    exponent = "exponent of the length that log-probabilities are divided by"
    search.add("--length-penalty", "length_penalty", exponent, **factor)
    coverage = "factor of the penalty for words that no attention reaches"
    search.add("--coverage-penalty", "coverage_penalty", coverage, **factor)
    repeats = "no sequence of so many tokens comes twice; 0: any may"
    search.add("--no-repeat-ngram-size", "no_repeat_ngram_size", repeats, **number)


def run(given: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    batch = integer("--batch", given.batch, 1)
    if given.plot is not None:
        _files.require_writable(given.plot)
    model = load_translator(given.model)
    translator = model.translator(given.weight_format)
    options = {
        **keywords(given, _SEARCH),
        "n_best": given.n_best,
        "max_length": given.max_length,
        "replace_unknown": not given.keep_unknown,
    }
    number = 0
    for texts in _blocks(given.file, batch):
        for text, best in zip(texts, translator.translations(texts, **options), strict=True):
            _print(text, best, number, given)
            number += 1
            if given.plot is not None and len(best[0].source_tokens):
                _draw(best[0], given.plot)
                given.plot = None
        sys.stdout.flush()
    if number == 0:
        raise ValueError("standard input: expected a text, got nothing")
    return 0


def _blocks(file: str | None, batch: int) -> Iterator[list[str]]:
    """Yield the lines of a text, some at a time."""
    lines = iter(standard_lines() if file is None else StringIO(read_text(file)))
    while texts := list(islice(lines, batch if file is None else _AT_ONCE)):
        yield [text.removesuffix("\n") for text in texts]


def _print(text: str, best: list[Translation], number: int, given: argparse.Namespace) -> None:
    """Print the translations of line `number`."""
    if given.json:
        found = {"source": text, "translations": [_described(each) for each in best]}
        print(shown(json.dumps(found, ensure_ascii=False), sys.stdout))
        return
    for each in best:
        line = _on_a_line(each.text or "")
        prefix = f"{number}\t{each.score:.4f}\t" if given.n_best > 1 else ""
        print(shown(f"{prefix}{line}", sys.stdout))


def _on_a_line(text: str) -> str:
    """Return a translation without line ends: the lines of both texts go together."""
    return " ".join(text.splitlines())


def _described(each: Translation) -> dict[str, Any]:
    """Return a translation as a JSON value."""
    weights = each.alignment
    return {
        "text": each.text,
        "score": each.score,
        "log_probability": each.log_probability,
        "source_tokens": list(each.source_tokens),
        "target_tokens": list(each.target_tokens),
        "alignment": None
        if weights is None
        else [[round(float(w), 4) for w in row] for row in weights],
    }


def _draw(each: Translation, path: str) -> None:
    """Write the picture of an alignment."""
    from rnncore.diagnostics import plot_attention

    if each.alignment is None:
        raise ValueError("--plot: expected a model with attention, got one without")
    figure = plot_attention(each.alignment, each.source_tokens, each.target_tokens)
    figure.savefig(path)


_help.show_public_names()
