"""The classes of rnncore that files may name: a new layer, model or tokenizer is added here."""

from rnncore import audio, heads, layers, models, text
from rnncore.io import register

KINDS = (
    *(layers.RNN, layers.GRU, layers.LSTM),
    *(layers.Embedding, layers.Linear, layers.Dropout),
    *(layers.Add, layers.Concatenate, layers.LastOutput, layers.Pooling, layers.Reverse),
    *(heads.Softmax, heads.Regression, heads.Binary, heads.CTC),
    *(models.LanguageModel, models.SequenceClassifier),
    *(models.CTCRecognizer, models.FrameRecognizer),
    *(text.CharTokenizer, text.ByteTokenizer, text.WordTokenizer),
    *(text.HuggingFaceTokenizer, text.SentencePieceTokenizer, audio.Features),
)

for kind in KINDS:
    register(kind)
