"""Describe emoji: from a picture of 32 x 32 pixels to its Unicode name, word by word.

Data: FILE.npz with image, bytes [N,32,32,3], and caption, texts [N]: Noto Color Emoji on white and
the short names of Unicode's emoji-test.txt. A tenth, drawn at random with seed 0, is held out. Many
emoji come in five skin tones: for most of those that are held out, the training part has the same
picture in another tone. The caption of the nearest training picture, which is printed beside, has
the same help, and cannot be right. Other names, such as those of flags and fruit, can only be
guessed. It needs sacrebleu, and matplotlib for --plot.

    python recipes/emoji_captions.py FILE.npz [--context attention] [--plot captions.png]
"""

import argparse
import time
from pathlib import Path

import numpy as np
import sacrebleu

import rnncore as rc

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("file", type=Path, help="pictures and captions, .npz")
parser.add_argument("--context", default="attention", help="see rnncore.Captioner")
parser.add_argument("--patch-size", type=int, default=8, help="height and width of a region")
parser.add_argument("--plot", metavar="PNG", help="file for eight pictures with their captions")
parser.add_argument("--quick", action="store_true", help="one epoch of a small model")
given = parser.parse_args()

with np.load(given.file, allow_pickle=False) as data:
    pictures, captions = data["image"], data["caption"].tolist()
everything = list(range(len(pictures))), captions
training, held_out = rc.data.split_shuffled(everything, 0.1, seed=0)
seen, unseen = pictures[training[0]], pictures[held_out[0]]

tokenizer = rc.text.WordTokenizer.fit(training[1], split="whitespace")
model = rc.Captioner(
    3 * given.patch_size**2,
    tokenizer,
    grid=(32 // given.patch_size, 32 // given.patch_size),
    context=given.context,
    num_heads=4 if given.context == "attention" else 1,
    cell="gru",
    hidden_size=16 if given.quick else 256,
    dropout=0.4,
    rng=0,
)
config = rc.training.TrainingConfig(
    epochs=1 if given.quick else 20,
    validation_fraction=0.1,  # of the training part: it chooses the epoch
    optimizer=rc.training.OptimizerConfig(learning_rate=2e-3),
)
before = time.process_time()
result = model.fit(seen, training[1], config)
used = time.process_time() - before
# Names are short: they are compared by their probability, whatever their length.
found = [best[0] for best in model.captions(unseen, beam_size=5, length_penalty=0.0)]

# ||a - b||^2 = a.a - 2 a.b + b.b, without the first term, which is the same for all b
flat = [part.reshape(len(part), -1).astype(np.float32) for part in (unseen, seen)]
nearest = (np.square(flat[1]).sum(axis=1) - 2 * flat[0] @ flat[1].T).argmin(axis=1)
answers = {
    "nearest training picture": [training[1][k] for k in nearest],
    f"Captioner, {model.context}": [each.text for each in found],
}
print(
    f"{len(seen)} pictures to learn from, {tokenizer.vocab_size} words, {model.num_params} params"
)
print(f"{result.seconds:.0f} s, {used:.0f} s of processor time, best epoch {result.best.epoch}")
for name, texts in answers.items():
    bleu = sacrebleu.corpus_bleu(texts, [held_out[1]]).score
    exact = np.mean([a == b for a, b in zip(texts, held_out[1], strict=True)])
    print(f"{name}: BLEU {bleu:.2f}, {exact:.1%} exact, on {len(texts)} held-out pictures")

if given.plot:
    drawn = np.linspace(0, len(unseen) - 1, 8).astype(int)
    for k in drawn:
        print(f"drawn: {found[k].text!r} for {held_out[1][k]!r}")
    figure = rc.diagnostics.plot_captions([found[k] for k in drawn], unseen[drawn])
    figure.savefig(given.plot, dpi=120)
