"""The ids of a text in a file beside it: encoded once, mapped into memory by every training."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rnncore._check import instance
from rnncore._files import as_path, replacing, require_regular
from rnncore._keywords import strict_keywords
from rnncore.text.files import blocks
from rnncore.text.tokenizer import Tokenizer
from rnncore.text.wrap import as_tokenizer

__all__ = ["prepare"]

#: Bytes of the header, which is written last: only then is the number of ids known.
_HEADER = 128


@strict_keywords()
def prepare(
    path: str | os.PathLike[str],
    tokenizer: Tokenizer,
    directory: str | os.PathLike[str] | None = None,
) -> NDArray[Any]:
    """Return the ids of a text file, in an array that the system reads from disk as it is used.

    The first call encodes the text and writes the ids into a ``.npy`` file beside it. Later calls
    open that file, as long as the text has the same size and time of change and the tokenizer is
    equal. The file that they replace otherwise is removed.

    Parameters
    ----------
    path : path
        A text in UTF-8.
    tokenizer : Tokenizer
        Its `encode_text` makes the ids; it must be one that a file can hold.
    directory : path, optional
        Where the ids are kept; None: beside the text.

    Returns
    -------
    read-only array [N] of uint8, uint16 or uint32

    Raises
    ------
    OSError
        When the text cannot be read, or the ids cannot be written.
    TypeError
        When no file can hold the tokenizer.
    ValueError
        When the text is empty, is not UTF-8 or cannot be encoded.

    Examples
    --------
    >>> import pathlib, tempfile, rnncore as rc
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     text = pathlib.Path(folder) / "text"
    ...     _ = text.write_text("aha", encoding="utf-8")
    ...     ids = rc.text.prepare(text, rc.text.ByteTokenizer())
    ...     ids.tolist(), ids.dtype.name
    ([97, 104, 97], 'uint8')
    """
    text = as_path(path)
    tokenizer = as_tokenizer(tokenizer)
    instance("tokenizer", tokenizer, Tokenizer)
    status = require_regular(text)
    name = f"{text.name}.{_digest(type(tokenizer).__qualname__, tokenizer.asset())}"
    folder = text.parent if directory is None else as_path(directory)
    file = folder / f"{name}.{_digest(status.st_size, status.st_mtime_ns)}.npy"
    ids = _opened(file)
    if ids is None:
        with replacing(file) as out:
            _write(out, text, tokenizer)
        _remove_others(file, name)
        ids = np.load(file, mmap_mode="r")
    return ids


def _digest(*parts: Any) -> str:
    """Return a short name for JSON values: equal for equal ones."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _opened(file: Path) -> NDArray[Any] | None:
    """Return the ids of a file; None where it is missing or damaged."""
    try:
        ids = np.load(file, mmap_mode="r")
    except (FileNotFoundError, ValueError):
        return None
    return ids if isinstance(ids, np.ndarray) and ids.ndim == 1 and ids.dtype.kind == "u" else None


def _write(out: BinaryIO, text: Path, tokenizer: Tokenizer) -> None:
    """Write the ids of a text as a file in the format of NumPy."""
    dtype = np.dtype(np.min_scalar_type(tokenizer.vocab_size - 1)).newbyteorder("<")
    out.write(bytes(_HEADER))
    num_ids, num_characters = 0, 0
    for block in blocks(text):
        ids = tokenizer.encode_text(block, f"{text}, from character {num_characters:,}")
        out.write(ids.astype(dtype).tobytes())
        num_ids += len(ids)
        num_characters += len(block)
    if not num_ids:
        raise ValueError(f"{text}: expected a text, got an empty file")
    out.seek(0)
    out.write(_header(dtype, num_ids))


def _header(dtype: np.dtype[Any], count: int) -> bytes:
    """Return magic, version 1.0, length and description, filled up with blanks."""
    described = {"descr": dtype.str, "fortran_order": False, "shape": (count,)}
    start = np.lib.format.magic(1, 0)
    length = _HEADER - len(start) - 2
    return (
        start + length.to_bytes(2, "little") + f"{described!r}".ljust(length - 1).encode() + b"\n"
    )


def _remove_others(file: Path, name: str) -> None:
    """Remove the ids that an older state of the text had with the same tokenizer."""
    for other in file.parent.iterdir():
        is_older = other.name.startswith(f"{name}.") and other.suffix == ".npy"
        if is_older and other.name != file.name:
            with contextlib.suppress(OSError):  # another system keeps a file that is mapped
                other.unlink()
