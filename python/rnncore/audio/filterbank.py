"""Spectra of short frames on the mel scale, by kaldi-native-fbank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rnncore import _extras
from rnncore._check import Array, printable

if TYPE_CHECKING:
    from rnncore.audio.features import Features

__all__ = ["Filterbank"]

#: Samples that the library takes at a time: it takes them as Python's numbers.
_AT_ONCE = 1 << 18


class Filterbank:
    """Log-mel energies or cepstra [T,C] of samples, in any number of pieces.

    Frame t is centered on the time ``(t + 1/2) * shift``; beyond the ends the sound is mirrored.
    """

    def __init__(self, features: Features) -> None:
        library: Any = _extras.library("kaldi_native_fbank", "audio")
        is_mfcc = features.kind == "mfcc"
        options = library.MfccOptions() if is_mfcc else library.FbankOptions()
        frame = options.frame_opts
        frame.samp_freq, frame.dither, frame.snip_edges = features.rate, 0.0, False
        frame.frame_length_ms, frame.frame_shift_ms = 1000 * features.window, 1000 * features.shift
        mel = options.mel_opts
        mel.num_bins, mel.debug_mel = features.num_mels, False
        mel.low_freq, mel.high_freq = features.low, features.high or 0.0  # 0: half the rate
        options.use_energy = False
        if is_mfcc:
            options.num_ceps = features.num_cepstra
        self._rate = features.rate
        self._width = features.num_cepstra if is_mfcc else features.num_mels
        self._done = 0
        try:
            self._extractor = (library.OnlineMfcc if is_mfcc else library.OnlineFbank)(options)
        except (RuntimeError, ValueError) as error:
            raise ValueError(
                f"num_mels: expected fewer than {features.num_mels} for the window, rate, low and "
                f"high, which leave some of them empty ({printable(str(error))})"
            ) from None

    def push(self, samples: Array) -> Array:
        """Return the frames that are complete with these samples [N]."""
        parts = [np.zeros((0, self._width), np.float32)]
        for start in range(0, len(samples), _AT_ONCE):
            piece = samples[start : start + _AT_ONCE].tolist()
            self._extractor.accept_waveform(self._rate, piece)
            parts.append(self._ready())
        return np.concatenate(parts)

    def finish(self) -> Array:
        """Return the frames up to the end of the samples."""
        self._extractor.input_finished()
        return self._ready()

    def _ready(self) -> Array:
        """Return the new frames, which the library then forgets."""
        count = self._extractor.num_frames_ready
        frames = np.zeros((count - self._done, self._width), np.float32)
        for k in range(len(frames)):
            frames[k] = self._extractor.get_frame(self._done + k)
        self._extractor.pop(len(frames))
        self._done = count
        return frames
