"""Features: what a speech recognizer hears, computed from recordings in one way for good."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rnncore._check import Array, choice, describe, integer, real, size
from rnncore._keywords import strict_keywords
from rnncore.audio.filterbank import Filterbank
from rnncore.audio.neighbors import deltas as with_deltas
from rnncore.audio.neighbors import stack as stacked
from rnncore.audio.normalization import normalize, normalize_running
from rnncore.audio.recording import HIGHEST_RATE, Recording, as_recording, resample
from rnncore.audio.stream import FeatureStream
from rnncore.layers.asset import Asset

__all__ = ["Features"]

NORMALIZATIONS = ("utterance", "speaker", "running", None)


@strict_keywords()
class Features(Asset):
    """Log-mel energies or cepstra of recordings; an asset that is saved in the file of its model.

    Frame t is centered on ``(t + 1/2) * shift`` seconds, so that N samples have about
    ``N / (rate * shift)`` frames. The energies are those of Kaldi, of samples in [-1, 1], without
    dither: the same recording has the same features.

    Parameters
    ----------
    kind : {"logmel", "mfcc"}
        Logarithms of the energies in bands on the mel scale; or their cosine transform, mel
        frequency cepstral coefficients (Davis and Mermelstein 1980).
    rate : int
        Samples a second. Recordings of a higher rate are resampled; those of a lower rate, which
        lack the upper tones, are an error.
    num_mels : int
        Number of bands.
    num_cepstra : int
        Number of coefficients of "mfcc", from the 0-th on; at most `num_mels`.
    low, high : float, and float or None
        Frequencies of the lowest and the highest band in Hz; None: half of the rate.
    window, shift : float
        Seconds of a frame, and from one frame to the next.
    deltas : int
        Whether frames have their slopes (1) and the slopes of these (2), see `deltas`.
    stack : int
        Frames that make up one step of the network, see `stack`.
    normalization : {"utterance", "speaker", "running"} or None
        Whether features have a mean of 0 and a deviation of 1 over a recording, over all recordings
        of a speaker, or over the past, as live audio needs it; see `normalize` and
        `normalize_running`.
    channel : int or None
        Which channel of files of several is read. None: such files are an error.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> features = rc.audio.Features("mfcc", rate=8000, deltas=1, stack=3)
    >>> features.num_features, features.step
    (78, 0.03)
    >>> features(np.zeros(8000)).shape  # a second of silence; needs kaldi-native-fbank
    (34, 78)
    """

    def __init__(
        self,
        kind: str = "logmel",
        rate: int = 16000,
        *,
        num_mels: int = 40,
        num_cepstra: int = 13,
        low: float = 20.0,
        high: float | None = None,
        window: float = 0.025,
        shift: float = 0.01,
        deltas: int = 0,
        stack: int = 1,
        normalization: str | None = "utterance",
        channel: int | None = None,
    ) -> None:
        self.kind = choice("kind", kind, ("logmel", "mfcc"))
        self.rate = integer("rate", rate, 100, HIGHEST_RATE)
        self.num_mels = integer("num_mels", num_mels, 3, 1000)
        self.num_cepstra = integer("num_cepstra", num_cepstra, 1, 1000)
        if self.kind == "mfcc" and self.num_cepstra > self.num_mels:
            raise ValueError(
                f"num_cepstra: expected at most num_mels = {self.num_mels}, got {self.num_cepstra}"
            )
        half = self.rate / 2
        self.low = real("low", low, 0, half, open_high=True)
        self.high = None if high is None else real("high", high, self.low, half, open_low=True)
        self.window = real("window", window, 2 / self.rate, 10)
        self.shift = real("shift", shift, 1 / self.rate, self.window)
        self.deltas = integer("deltas", deltas, 0, 2)
        self.stack = size("stack", stack)
        if normalization is not None:
            choice("normalization", normalization, NORMALIZATIONS[:-1])
        self.normalization = normalization
        self.channel = None if channel is None else integer("channel", channel, 0)

    @property
    def num_features(self) -> int:
        """Width I of a step."""
        frame = self.num_cepstra if self.kind == "mfcc" else self.num_mels
        return frame * (self.deltas + 1) * self.stack

    @property
    def step(self) -> float:
        """Seconds from one step to the next."""
        return self.shift * self.stack

    def times(self, count: int) -> NDArray[np.float64]:
        """Return the times [T] of the centers of the first ``count`` steps, in seconds."""
        return np.asarray((np.arange(count) + 0.5) * self.step, np.float64)

    def __call__(self, recording: Any) -> Array:
        """Return the features [T,I] of one recording; parameters and errors as in `extract`."""
        return self.extract([recording])[0]

    def extract(
        self, recordings: Iterable[Any], speakers: Sequence[str] | None = None
    ) -> list[Array]:
        """Return the features of recordings.

        Parameters
        ----------
        recordings : iterable of paths, Recordings or arrays of samples [N]
            Arrays have the rate of the features.
        speakers : sequence of str, optional
            Speaker of each; None: all are of one. Only the normalization "speaker" needs them.

        Returns
        -------
        list of float32 arrays [T_k,I]
            T_k is 0 for a recording that is shorter than half of `shift`.

        Raises
        ------
        ImportError
            If a library that is needed is not installed.
        OSError, TypeError, ValueError
            If a recording cannot be read or does not fit, by its path or index.
        """
        frames = [self._frames(f"recordings[{k}]", given) for k, given in enumerate(recordings)]
        return self.steps(frames, speakers)

    def frames(self, recording: Any) -> Array:
        """Return the frames of one recording with their deltas, before `steps`."""
        return self._frames("recording", recording)

    def steps(self, frames: Sequence[Array], speakers: Sequence[str] | None = None) -> list[Array]:
        """Normalize what `frames` returned for some recordings, and stack it.

        Parameters
        ----------
        frames : sequence of arrays [T_k,C]
            One for each recording.
        speakers : sequence of str, optional
            As in `extract`.

        Raises
        ------
        ValueError
            If there are not as many speakers as recordings.
        """
        x = list(frames)
        if speakers is not None and len(speakers) != len(x):
            raise ValueError(
                f"speakers: expected one for each of {len(x)} recordings, got {len(speakers)}"
            )
        if self.normalization == "utterance":
            x = [normalize(part) for part in x]
        elif self.normalization == "running":
            x = [normalize_running(part) for part in x]
        elif self.normalization == "speaker":
            x = _by_speaker(x, [""] * len(x) if speakers is None else speakers)
        return [stacked(part, self.stack) for part in x]

    def stream(self) -> FeatureStream:
        """Return a `FeatureStream`, which computes features of live audio.

        Raises
        ------
        ValueError
            If the normalization needs the whole recording.
        """
        return FeatureStream(self)

    def _frames(self, name: str, given: Any) -> Array:
        """Return the frames of a recording with their deltas, before they are normalized."""
        recording = self._fitting(name, given)
        bank = Filterbank(self)
        frames = np.concatenate([bank.push(recording.samples), bank.finish()])
        return with_deltas(frames, self.deltas)

    def _fitting(self, name: str, given: Any) -> Recording:
        """Return a recording in the rate of the features."""
        name = str(given) if hasattr(given, "__fspath__") or isinstance(given, str) else name
        recording = as_recording(name, given, self.rate, self.channel)
        if recording.rate < self.rate:
            raise ValueError(
                f"{name}: expected at least {self.rate} samples a second, got {recording.rate}; "
                "rnncore.audio.resample makes more of them, but the upper tones stay silent"
            )
        return resample(recording, self.rate)

    def asset(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return dict(vars(self))

    @classmethod
    def from_asset(cls, value: Any) -> Self:
        """Build the features that `asset` described.

        Raises
        ------
        TypeError, ValueError
            If it is no such description.
        """
        if not isinstance(value, dict):
            raise TypeError(f"features: expected their arguments, got {describe(value)}")
        return cls(**value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Features) and self.asset() == other.asset()

    def __hash__(self) -> int:
        return hash(tuple(self.asset().items()))

    def __repr__(self) -> str:
        return f"Features({', '.join(f'{k}={v!r}' for k, v in self.asset().items())})"


def _by_speaker(frames: list[Array], speakers: Sequence[str]) -> list[Array]:
    """Return each array normalized by all of its speaker."""
    normalized = list(frames)
    for speaker in dict.fromkeys(speakers):
        own = [k for k, other in enumerate(speakers) if other == speaker]
        every = np.concatenate([frames[k] for k in own])
        for k in own:
            normalized[k] = normalize(frames[k], [every])
    return normalized
