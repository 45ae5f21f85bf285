"""The classes of rnncore that files may name: a new layer, model or tokenizer is added here."""

from rnncore import audio, data, heads, layers, models, text
from rnncore.io import register

KINDS = (
    *(layers.RNN, layers.GRU, layers.LSTM),
    *(layers.Attention, layers.AttentionRNN, layers.Embedding, layers.Linear, layers.Dropout),
    *(layers.Add, layers.Concatenate, layers.LastOutput, layers.Pooling, layers.Reverse),
    *(layers.Repeat, layers.Tanh),
    *(heads.Softmax, heads.Regression, heads.Binary, heads.CTC),
    *(models.LanguageModel, models.SequenceClassifier, models.Seq2Seq, models.Captioner),
    *(models.CTCRecognizer, models.FrameRecognizer),
    *(text.CharTokenizer, text.ByteTokenizer, text.WordTokenizer),
    *(text.HuggingFaceTokenizer, text.SentencePieceTokenizer),
    *(data.Standardization, audio.Features),
)

for kind in KINDS:
    register(kind)
