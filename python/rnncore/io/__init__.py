"""Models in files."""

from rnncore.io.file import load, require_savable, save
from rnncore.io.kinds import register

__all__ = ["load", "register", "require_savable", "save"]
