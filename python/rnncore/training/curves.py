"""Curves of the losses of a run, from its result or from a file of metrics, and their picture."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore import _files
from rnncore._check import choice
from rnncore.training.metric_files import read_rows
from rnncore.training.result import TrainingResult

__all__ = ["Curves"]

# Means that the training curve is drawn of: as many as a picture has room for.
_MEANS = 200


@dataclass
class Curves:
    """Losses over the updates.

    Parameters
    ----------
    updates : list of int
        Numbers of the updates, counted from 1.
    losses : list of float
        Training loss of each.
    validation_updates : list of int
        Updates before each validation.
    validation_losses : list of float
        Validation losses.

    Examples
    --------
    >>> import rnncore as rc
    >>> result = rc.training.TrainingResult(losses=[2.5, 2.0, 1.5])
    >>> rc.training.Curves.of_result(result).updates
    [1, 2, 3]
    """

    updates: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    validation_updates: list[int] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)

    @classmethod
    def of_result(cls, result: TrainingResult) -> Curves:
        """Return those of a result."""
        return cls(
            list(range(1, len(result.losses) + 1)),
            list(result.losses),
            [validation.update for validation in result.validations],
            [validation.loss for validation in result.validations],
        )

    @classmethod
    def of_file(cls, path: str | os.PathLike[str]) -> Curves:
        """Return those of a file of metrics; errors as `read_rows`, and ValueError if it is empty.

        A run that is not over yet has a file too.
        """
        curves = cls()
        for row in read_rows(path):
            if "validation_loss" in row:
                curves.validation_updates.append(row["update"])
                curves.validation_losses.append(row["validation_loss"])
            else:
                curves.updates.append(row["update"])
                curves.losses.append(row["loss"])
        if not curves.updates:
            raise ValueError(f"{path}: expected a file of metrics with at least one update, got 0")
        return curves

    def draw(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Return the picture as a figure of matplotlib; save it where there is a `path`."""
        try:
            from matplotlib.figure import Figure  # not pyplot: it would keep every figure
        except ImportError as error:
            raise ImportError(
                f"plots need matplotlib: pip install rnncore[plot] ({error})"
            ) from None

        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.updates, self.losses, color="C0", alpha=0.2, linewidth=0.8)
        axes.plot(*_means(self.updates, self.losses), color="C0", label="training")
        if self.validation_losses:
            axes.plot(
                self.validation_updates,
                self.validation_losses,
                "o-" if len(self.validation_losses) <= 50 else "-",
                color="C1",
                markersize=4,
                label="validation",
            )
            self._mark_best(axes)
        axes.set_xlabel("updates")
        axes.set_ylabel("loss (nats per target)")
        axes.set_xlim(left=0)
        axes.grid(alpha=0.3)
        axes.legend(loc="upper right")
        if path is not None:
            self._save(figure, path)
        return figure

    def _save(self, figure: Any, path: str | os.PathLike[str]) -> None:
        kind = _files.as_path(path).suffix.lower().removeprefix(".")
        choice("suffix of the picture", kind, figure.canvas.get_supported_filetypes())
        with _files.replacing(path) as file:
            figure.savefig(file, dpi=150, format=kind)

    def _mark_best(self, axes: Any) -> None:
        losses = np.array(self.validation_losses, np.float64)
        if not np.isfinite(losses).any():
            return
        best = int(np.nanargmin(np.where(np.isfinite(losses), losses, np.nan)))
        axes.axvline(
            self.validation_updates[best],
            color="C1",
            linestyle=":",
            linewidth=1,
            label=f"best: {losses[best]:.3f}",
        )


def _means(
    updates: list[int], losses: list[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return means over neighboring updates, and where they stand: losses differ by batch."""
    if not losses:
        return np.zeros(0), np.zeros(0)
    count = min(_MEANS, max(1, len(losses) // 4))
    pieces = zip(np.array_split(updates, count), np.array_split(losses, count), strict=True)
    pairs = [(np.mean(at), _finite_mean(values)) for at, values in pieces]
    at, means = np.array(pairs, np.float64).T
    return at, means


def _finite_mean(values: NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")
