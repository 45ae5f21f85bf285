"""N-gram models: probabilities by hand and by the definition; files that are none."""

import copy
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import rnncore as rc
from arpa_models import Katz, histories, random_model
from rnncore.ctc import NGram

# Probabilities are held in single precision: of numbers up to 100 some 4e-6.
CLOSE = 1e-5

BY_HAND = r"""some words before the model

\data\
ngram 1=5
ngram 2=4
ngram 3=2

\1-grams:
-1.0	<unk>
-99	<s>	-0.5
-0.8	</s>
-0.6	a	-0.3
-0.7	b	-0.2

\2-grams:
-0.4	<s> a	-0.15
-0.9	a b	-0.25
-0.3	b </s>
-0.2	a </s>

\3-grams:
-0.1	<s> a b
-0.05	a b </s>

\end\
"""


def load(folder: Path, text: str, **options: float) -> NGram:
    path = folder / "m.arpa"
    path.write_bytes(text.encode())
    return NGram.from_arpa(path, **options)


def test_by_hand(tmp_path: Path) -> None:
    model = load(tmp_path, BY_HAND)
    assert (model.order, model.size) == (3, 11)
    assert model.words == ["<unk>", "<s>", "</s>", "a", "b"]
    assert repr(model) == "<NGram of order 3, 11 n-grams>"
    for words, expected in {
        "a b": [-0.4, -0.1, -0.05],
        "b a": [-0.5 - 0.7, -0.2 - 0.6, -0.2],  # <s> b is none, nor b a
        "a a b": [-0.4, -0.15 - 0.3 - 0.6, -0.9, -0.05],  # <s> a a; a a is none: h is a
        "b b": [-1.2, -0.2 - 0.7, -0.3],  # b b is none
        "z a": [-0.5 - 1.0, -0.6, -0.2],  # an unknown word has no history of its own
        "a b a": [-0.4, -0.1, -0.25 - 0.2 - 0.6, -0.2],
        "": [-0.5 - 0.8],
    }.items():
        np.testing.assert_allclose(model.score(words.split()), expected, atol=CLOSE)
    np.testing.assert_allclose(
        model.score(["a", "b"], start=False, end=False), [-0.6, -0.9], atol=CLOSE
    )


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\n\n", " \n\t"])
def test_line_ends_and_blanks(tmp_path: Path, ends: str) -> None:
    expected = load(tmp_path, BY_HAND).score(["a", "b", "z", "a"])
    model = load(tmp_path, BY_HAND.replace("\n", ends).replace("\t", "  "))
    np.testing.assert_array_equal(model.score(["a", "b", "z", "a"]), expected)
    model = load(tmp_path, BY_HAND.replace("-0.25", "-2.5e-1").rstrip())
    np.testing.assert_array_equal(model.score(["a", "b", "z", "a"]), expected)


def test_words_that_are_unknown_without_a_token_for_them(tmp_path: Path) -> None:
    text = BY_HAND.replace("-1.0	<unk>\n", "").replace("ngram 1=5", "ngram 1=4")
    np.testing.assert_allclose(load(tmp_path, text).score(["z"]), [-99, -0.8], atol=CLOSE)
    np.testing.assert_allclose(
        load(tmp_path, text, unknown=-7.5).score(["z"]), [-7.5, -0.8], atol=CLOSE
    )


def test_a_history_that_is_no_ngram_has_no_backoff(tmp_path: Path) -> None:
    """c stands after histories only; the model of a file may lack ends of its n-grams."""
    model = Katz(
        {("a",): -0.5, ("b",): -0.6, ("c",): -0.7, ("a", "b"): -0.1, ("a", "b", "c"): -0.2},
        {("a",): -0.3, ("b",): -0.4, ("a", "b"): -0.25},
    )
    loaded = model.load(tmp_path)
    for words in ("abc", "abcc", "bc", "abb", "aabca"):
        expected = model.sentence(words, start=False, end=False)
        found = loaded.score(list(words), start=False, end=False)
        np.testing.assert_allclose(found, expected, atol=CLOSE)


@hypothesis.given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.floats(0.1, 0.9))
@hypothesis.settings(max_examples=30)
def test_random_models(
    tmp_path_factory: pytest.TempPathFactory, seed: int, order: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    words = ["a", "bé", "c"]
    model = random_model(rng, words, order, share)
    loaded = model.load(tmp_path_factory.mktemp("arpa"))
    assert loaded.order == model.order
    for _ in range(20):
        sentence = [str(w) for w in rng.choice([*words, "zz"], rng.integers(0, 8))]
        np.testing.assert_allclose(loaded.score(sentence), model.sentence(sentence), atol=CLOSE)
    for history in histories(words, min(order, 3)):
        total = 10 ** loaded.score(list(history))[-1]  # of the end
        total += sum(10 ** loaded.score([*history, w], end=False)[-1] for w in words)
        assert total == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (BY_HAND, "", r"line 1: expected \data\, got the end of the file"),
        ("\\data\\", "\\date\\", r"line 26: expected \data\, got the end of the file"),
        ("ngram 1=5\n", "", "line 4: expected 'ngram 1=' and a number, got 'ngram 2=4'"),
        ("ngram 2=4", "ngram 2=x", "line 5: expected 'ngram 2=' and a number, got 'ngram 2=x'"),
        ("ngram 2=4", "ngram 2", "line 5: expected 'ngram 2=' and a number, got 'ngram 2'"),
        ("ngram 2=4", "ngram 2=-4", "line 5: expected 'ngram 2=' and a number"),
        ("ngram 2=4\n", "", "line 5: expected 'ngram 2=' and a number, got 'ngram 3=2'"),
        (
            "ngram 1=5\nngram 2=4\nngram 3=2\n",
            "",
            r"line 5: expected 'ngram 1=' and a number, got '\1-grams:'",
        ),
        ("\\1-grams:", "\\2-grams:", r"line 8: expected \1-grams:, got '\2-grams:'"),
        (
            "ngram 2=4",
            "ngram 2=5",
            r"line 21: expected 5 2-grams before it, as line 5 says, got 4",
        ),
        ("ngram 3=2", "ngram 3=1", "line 25: expected 1 3-grams before it, as line 6 says, got 2"),
        ("-0.6	a", "-0.6x	a", "line 12: expected a finite number, got '-0.6x'"),
        ("-0.6	a", "nan	a", "line 12: expected a finite number, got 'nan'"),
        ("-0.6	a", "-inf	a", "line 12: expected a finite number, got '-inf'"),
        ("-0.6	a", "-1e99	a", "line 12: expected a finite number, got '-1e99'"),
        ("-0.6	a", "0.6	a", "line 12: expected log10 of a probability, at most 0, got 0.6"),
        ("b	-0.2", "b	o", "line 13: expected a finite number, got 'o'"),
        (
            "b	-0.2",
            "b	-0.2	-0.2",
            "line 13: expected a number, 1 word and perhaps a backoff",
        ),
        ("-0.9	a b", "-0.9	a", "line 17: expected words that are 1-grams, got '-0.25'"),
        ("a b	-0.25", "a", "line 17: expected a number, 2 words and perhaps a backoff, got"),
        ("-0.9	a b", "-0.9	a z", "line 17: expected words that are 1-grams, got 'z'"),
        ("-0.7	b", "-0.7	a", "line 13: expected each word once, got 'a' again"),
        ("-0.9	a b", "-0.9	a </s>", "line 19: expected each n-gram once, got one of before"),
        (
            "-0.05	a b",
            "-0.05	b a",
            "line 23: expected an n-gram whose first 2 words are one too, got '-0.05",
        ),
        ("\\end\\\n", "", r"line 25: expected \end\, got the end of the file"),
        ("\\end\\", "\\ende\\", r"line 25: expected \end\, got '\ende\'"),
    ],
)
def test_bad_files(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in BY_HAND
    with pytest.raises(ValueError, match="arpa: line") as raised:
        load(tmp_path, BY_HAND.replace(old, new, 1))
    message = str(raised.value)
    assert message.startswith(f"{tmp_path / 'm.arpa'}: {told}"), message


@pytest.mark.parametrize("cut", range(0, len(BY_HAND) - 2, 7))
def test_truncated_files(tmp_path: Path, cut: int) -> None:
    with pytest.raises(ValueError, match=r"m\.arpa: line \d+: expected"):
        load(tmp_path, BY_HAND[:cut])


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "m.arpa"
    path.write_bytes(BY_HAND.encode().replace(b"\ta\t", b"\t\xff\t"))
    with pytest.raises(ValueError, match=r"m\.arpa: line 12: expected UTF-8, got"):
        NGram.from_arpa(path)
    with pytest.raises(FileNotFoundError):
        NGram.from_arpa(tmp_path / "none.arpa")
    with pytest.raises(IsADirectoryError):
        NGram.from_arpa(tmp_path)


def test_arguments(tmp_path: Path) -> None:
    model = load(tmp_path, BY_HAND)
    with pytest.raises(TypeError, match="words: expected a list of words, got str 'a b'; split"):
        model.score("a b")
    with pytest.raises(TypeError, match="words: expected str, got int 3"):
        model.score(["a", 3])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="start: expected True or False"):
        model.score(["a"], start=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"expected NGram.from_arpa\(path\)"):
        NGram()
    with pytest.raises(ValueError, match=r"unknown: expected a finite number in \(-inf, 0\]"):
        load(tmp_path, BY_HAND, unknown=0.5)
    assert copy.deepcopy(model) is copy.copy(model) is model
    assert rc.ctc.NGram is NGram
