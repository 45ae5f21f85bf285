"""Plots and HTML pages of `rnncore.diagnostics`, the recipe that makes them, and their chapter."""

import re
import runpy
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from rnncore import diagnostics
from rnncore.diagnostics import GradientByLag

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = (ROOT / "docs" / "bptt.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", CHAPTER, re.MULTILINE | re.DOTALL)
PNG = b"\x89PNG"


@pytest.fixture
def matplotlib() -> Any:
    return pytest.importorskip("matplotlib")


def lags() -> GradientByLag:
    layer = rc.LSTM(3, 4, rng=0)
    x = np.random.default_rng(0).standard_normal((9, 2, 3), np.float32)
    return diagnostics.gradient_by_lag(layer, x, np.ones((9, 2, 4), np.float32))


def test_curves(matplotlib: Any) -> None:
    one = lags()
    figure = diagnostics.plot_gradient_by_lag({"LSTM": one, "made": [4, 2, 0]}, title="t")
    (axes,) = figure.axes
    assert axes.get_yscale() == "log"
    assert axes.get_title() == "t"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["LSTM", "made"]
    first, second = (line.get_ydata() for line in axes.lines)
    np.testing.assert_allclose(first, one.mean() / one.mean()[0])
    np.testing.assert_array_equal(second, [1, 0.5, np.nan])
    (axes,) = diagnostics.plot_gradient_by_lag({"made": [4, 2, 0]}, relative=False).axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [4, 2, np.nan])


def test_heat_maps(matplotlib: Any, tmp_path: Path) -> None:
    text = "a $x$\n<b>"
    trace = rc.LSTM(3, 5, rng=0).trace(np.ones((len(text), 2, 3), np.float32))
    names = ["cell_l0", "forget_gate_l0"]
    figure = diagnostics.plot_gates(trace, text, names=names, row=1, units=4)
    maps = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title(loc="left") for axes in maps] == names
    np.testing.assert_array_equal(maps[1].images[0].get_array(), trace[names[1]][:, 1, :4].T)
    assert maps[1].images[0].get_clim() == (0, 1)
    assert maps[0].images[0].get_clim() == (-1, 1)
    ticks = [label.get_text() for label in maps[1].get_xticklabels()]
    assert "".join(ticks) == "a·$x$↵<b>"
    figure.savefig(tmp_path / "gates.png")
    assert (tmp_path / "gates.png").read_bytes().startswith(PNG)


def test_tokens_are_no_formulas(matplotlib: Any, tmp_path: Path) -> None:
    figure = diagnostics.plot_gates({"hidden_l0": np.zeros((2, 3))}, ["$x^$", "b c"], title="$^$")
    figure.savefig(tmp_path / "gates.png")
    ticks = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert ticks == ["$x^$", "b·c"]


def test_all_of_a_trace_without_a_batch(matplotlib: Any) -> None:
    trace = rc.GRU(3, 5, bidirectional=True, rng=0).trace(np.ones((4, 3), np.float32))
    figure = diagnostics.plot_gates(trace)
    assert sum(bool(axes.images) for axes in figure.axes) == 8


def test_errors_of_plots(matplotlib: Any) -> None:
    trace = {"hidden_l0": np.zeros((4, 2, 3))}
    with pytest.raises(ValueError, match="text: expected 4 tokens, one for each step, got 3"):
        diagnostics.plot_gates(trace, "abc")
    with pytest.raises(ValueError, match=r"names: expected some of \['hidden_l0'\], got \['x'\]"):
        diagnostics.plot_gates(trace, names=["x"])
    with pytest.raises(ValueError, match="row: expected"):
        diagnostics.plot_gates(trace, row=2)
    with pytest.raises(TypeError, match="lags: expected a mapping"):
        diagnostics.plot_gradient_by_lag([1, 2])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="lags: expected at least one curve, got none"):
        diagnostics.plot_gradient_by_lag({})
    with pytest.raises(ValueError, match=r"lags\['a'\]: expected"):
        diagnostics.plot_gradient_by_lag({"a": [[1.0]]})


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'rnncore\[plot\]'"):
        diagnostics.plot_gradient_by_lag({"a": [1, 0.5]})


class Reader(HTMLParser):
    """Text of the spans, their titles, and everything that leads outside."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.titles: list[str] = []
        self.styles: list[str] = []
        self.text = ""
        self.outside: list[str] = []
        self._in_text = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        self.outside += [name for name in given if name in ("src", "href")]
        self._in_text = self._in_text or tag == "pre"
        if tag == "span" and self._in_text:
            self.titles.append(given["title"] or "")
            self.styles.append(given["style"] or "")

    def handle_endtag(self, tag: str) -> None:
        self._in_text = self._in_text and tag != "pre"

    def handle_data(self, data: str) -> None:
        self.text += data if self._in_text else ""


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def test_page_escapes_and_stands_alone() -> None:
    text = "<script>alert('&amp;')</script>\n\"{x}\""
    page = diagnostics.text_page(text, np.linspace(-1, 1, len(text)), title="<b>&")
    reader = read(page)
    assert reader.text.replace("↵", "") == text
    assert len(reader.titles) == len(text)
    assert "script" not in reader.tags
    assert not reader.outside
    assert "<title>&lt;b&gt;&amp;</title>" in page
    assert "url(" not in page


def test_tokens_of_several_characters_are_escaped() -> None:
    tokens = ["<b>x</b>", "&lt;", "<img src=x>"]
    reader = read(diagnostics.text_page(tokens, [0, 0, 0]))
    assert reader.text == "".join(tokens)
    assert not {"b", "img"} & set(reader.tags)
    assert reader.titles[0] == "<b>x</b> 0"


def test_colors() -> None:
    page = diagnostics.text_page(["low", "zero", "high", "beyond"], [-2.0, 0, 2, 9], low=-2, high=2)
    low, zero, high, beyond = read(page).styles
    assert low == "background:#2166ac;color:#fff"
    assert zero == "background:#ffffff"
    assert high == beyond == "background:#b2182b;color:#fff"
    assert "<span>-2</span>" in page  # the legend
    assert "linear-gradient(to right, #2166ac, #ffffff, #b2182b)" in page
    assert read(page).titles[3] == "beyond 9"


@pytest.mark.parametrize("embedding", [None, 3])
def test_page_of_a_unit(embedding: int | None) -> None:
    text = "to be or\nnot"
    tokenizer = rc.text.CharTokenizer.fit(text)
    model = rc.LanguageModel(
        tokenizer.vocab_size, "lstm", embedding, 4, 2, tokenizer=tokenizer, rng=0
    )
    page = diagnostics.unit_page(model, text, 2)
    assert "hidden_l1, unit 2" in page
    ids = tokenizer.encode(text)
    y, _ = model.rnn(ids if model.embedding is None else model.embedding(ids))
    assert read(page).titles[-1] == f"t {y[-1, 2]:.3g}"
    assert "<span>0</span>" in diagnostics.unit_page(model, text, 0, "forget_gate_l0")
    with pytest.raises(ValueError, match="unit: expected"):
        diagnostics.unit_page(model, text, 4)
    with pytest.raises(ValueError, match="name: expected one of"):
        diagnostics.unit_page(model, text, 0, "reset_gate_l0")


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ([1.0], ValueError, "text: expected 1 tokens"),
        ([1.0, np.nan], ValueError, "values: expected finite numbers"),
        (["a", "b"], TypeError, "values: expected numbers"),
        ([[1.0, 2.0]], ValueError, "values: expected"),
    ],
)
def test_errors_of_pages(values: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        diagnostics.text_page("ab", values)


def test_range_of_pages() -> None:
    with pytest.raises(ValueError, match="high: expected"):
        diagnostics.text_page("ab", [0, 1], low=1, high=1)


def test_recipe(matplotlib: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be, that is the question:\n" * 100, encoding="utf-8")
    recipe = ROOT / "recipes" / "vanishing_gradient.py"
    out = tmp_path / "made"
    arguments = [text, "--out", out, "--hidden", 8, "--max-lag", 5, "--epochs", 1]
    runpy.run_path(str(recipe))["main"]([str(a) for a in arguments])
    for name in ("before.png", "after.png", "gates.png"):
        assert (out / name).read_bytes().startswith(PNG)
    assert (out / "unit.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    printed = capsys.readouterr().out
    assert (
        len(re.findall(r"^(?:before|after) training, \w+: .* is left at lag 5$", printed, re.M))
        == 6
    )
    assert len(recipe.read_text("utf-8").splitlines()) <= 80


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_python_of_the_chapter(
    block: str, matplotlib: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each block runs by itself, as who copies it has it."""
    monkeypatch.chdir(tmp_path)
    exec(block, {})


def test_the_chapter_has_blocks_and_its_pictures() -> None:
    assert len(BLOCKS) >= 6
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", CHAPTER)
    assert len(pictures) == 3
    assert all((ROOT / "docs" / picture).is_file() for picture in pictures)
