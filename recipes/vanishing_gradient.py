"""The vanishing gradient: how far back RNN, GRU and LSTM reach, before and after some training.

Task: next character of a text, one layer of 64 units. Data: a text file, or the package's own
tinyshakespeare. Time: about a minute with the defaults. Writes into a folder:

    before.png, after.png   norm of the gradient of the loss at t by the state at t - k
    gates.png               forget gate and cell state of the LSTM over a line of the text
    unit.html               the unit of the LSTM that moves most, over a piece of the text

    python recipes/vanishing_gradient.py [TEXT] --out FOLDER  # needs rnncore[plot]
"""

import argparse
from pathlib import Path

import rnncore as rc
from rnncore import diagnostics

CELLS = {"RNN": "rnn", "GRU": "gru", "LSTM": "lstm"}
READ = 1000  # characters that the gradients are averaged over
SHOWN = 60  # characters of the heat maps


def main(arguments: list[str] | None = None) -> None:
    """Train three models for a while, and draw what they do."""
    given = options(arguments)
    text = rc.datasets.tinyshakespeare() if given.text is None else given.text.read_text("utf-8")
    given.out.mkdir(parents=True, exist_ok=True)
    tokenizer = rc.text.CharTokenizer.fit(text)
    sizes = {"hidden_size": given.hidden, "num_layers": 1}
    models = {
        name: rc.LanguageModel(tokenizer.vocab_size, cell, tokenizer=tokenizer, rng=1, **sizes)
        for name, cell in CELLS.items()
    }
    draw_lags(models, text[:READ], given.max_lag, given.out / "before.png")
    config = rc.training.TrainingConfig(epochs=given.epochs, time_limit=given.seconds, seed=1)
    for name, model in models.items():
        best = model.fit(text, config).best
        print(f"{name}: validation loss {best.loss:.3f} nats" if best else f"{name}: no loss")
    draw_lags(models, text[:READ], given.max_lag, given.out / "after.png")

    lstm = models["LSTM"]
    trace = lstm.rnn.trace(tokenizer.encode(text[:SHOWN]))
    figure = diagnostics.plot_gates(trace, text[:SHOWN], names=["forget_gate_l0", "cell_l0"])
    figure.savefig(given.out / "gates.png")
    unit = int(trace["hidden_l0"].std(axis=0).argmax())
    page = diagnostics.unit_page(lstm, text[:READ], unit)
    (given.out / "unit.html").write_text(page, encoding="utf-8")


def draw_lags(models: dict[str, rc.LanguageModel], text: str, max_lag: int, path: Path) -> None:
    """Draw the gradient by lag of all models, and print how much is left at the end."""
    lags = {
        name: diagnostics.text_gradient_by_lag(model, text, max_lag)
        for name, model in models.items()
    }
    diagnostics.plot_gradient_by_lag(lags, title=f"{path.stem} training").savefig(path, dpi=120)
    for name, one in lags.items():
        left = one.mean()[-1] / one.mean()[0]
        print(f"{path.stem} training, {name}: {left:.1e} is left at lag {one.max_lag}")


def options(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Draw the vanishing gradient.")
    parser.add_argument("text", nargs="?", type=Path, help="a text file, default: tinyshakespeare")
    parser.add_argument("--out", type=Path, default=Path("vanishing-gradient"), help="a folder")
    parser.add_argument("--hidden", type=int, default=64, help="units of the layer")
    parser.add_argument("--max-lag", type=int, default=50, help="largest lag")
    parser.add_argument("--epochs", type=int, default=5, help="of training, for each cell")
    parser.add_argument("--seconds", type=float, help="of training of each cell, at most")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
