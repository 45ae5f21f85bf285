"""Audio: recordings, and the features of speech that are computed from them.

The signal processing is that of soundfile, soxr and kaldi-native-fbank, which
``pip install "rnncore[audio]"`` brings.
"""

from rnncore.audio.features import Features
from rnncore.audio.manifest import Utterance, read_manifest
from rnncore.audio.neighbors import deltas, stack
from rnncore.audio.normalization import normalize, normalize_running
from rnncore.audio.recording import Recording, as_recording, read, resample
from rnncore.audio.stream import FeatureStream

__all__ = [
    "FeatureStream",
    "Features",
    "Recording",
    "Utterance",
    "as_recording",
    "deltas",
    "normalize",
    "normalize_running",
    "read",
    "read_manifest",
    "resample",
    "stack",
]
