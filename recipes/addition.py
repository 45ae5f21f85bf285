"""Addition as translation: "123+45" becomes "168", letter by letter; and what reversal gains.

An encoder LSTM of 128 units reads the sum, a decoder LSTM writes the answer from its last state
alone (Sutskever, Vinyals and Le, 2014). Read from its end, the sum has its first digits next to the
first digit of the answer. The data are made here: 50,000 different sums, of which a tenth is held
out.

    python recipes/addition.py [--digits 3] [--epochs 30]
"""

import argparse
import sys

import numpy as np

import rnncore as rc
from rnncore.progress import choose_progress
from rnncore.text import CharTokenizer
from rnncore.training import OptimizerConfig, ScheduleConfig, TrainingConfig


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--digits", type=int, default=3, help="of a number, at most")
    parser.add_argument("--sums", type=int, default=50_000, help="how many, all different")
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=30)
    return parser.parse_args(arguments)


def make_sums(digits: int, count: int) -> tuple[list[str], list[str]]:
    """Return different sums, and their answers; numbers of all lengths are equally frequent."""
    rng = np.random.default_rng(0)
    sums: dict[str, str] = {}
    while len(sums) < count:
        a, b = (int(rng.integers(10 ** rng.integers(1, digits + 1))) for _ in range(2))
        sums[f"{a}+{b}"] = str(a + b)
    return list(sums), list(sums.values())


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Train both ways; return the share of held-out sums whose answer is exact."""
    given = options(arguments)
    training, held_out = rc.data.split_shuffled(make_sums(given.digits, given.sums), 0.1, seed=1)
    letters = CharTokenizer.fit("0123456789+", special_tokens=["<s>", "</s>"])
    config = TrainingConfig(
        epochs=given.epochs,
        batch_size=128,
        optimizer=OptimizerConfig(learning_rate=5e-3),
        schedule=ScheduleConfig("cosine", warmup=200),
    )
    exact = {}
    for name, reverse in (("as written", False), ("reversed", True)):
        model = rc.Seq2Seq(
            source_tokenizer=letters,
            target_tokenizer=letters,
            cell="lstm",
            embedding_size=32,
            hidden_size=given.hidden_size,
            bidirectional=False,
            context="state",
            tie_weights=False,
            reverse_source=reverse,
            rng=0,
        )
        progress = choose_progress(sys.stderr, model.unit)
        result = model.fit(*training, config, validation=held_out, progress=progress)
        answers = model.translate(held_out[0], beam_size=1)
        right = [a == b for a, b in zip(answers, held_out[1], strict=True)]
        exact[name] = float(np.mean(right))
        print(f"{name}: {exact[name]:.4f} of {len(right)} sums exact, {result.seconds:.0f} s")
    return exact


if __name__ == "__main__":
    main()
