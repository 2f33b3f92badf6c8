"""Text in a script that the shell takes as it is."""

from __future__ import annotations

import shlex


def quoted(word: str) -> str:
    """A word that the shell takes byte for byte."""
    # sbatch takes a script with a carriage return before a line's end for one of DOS
    return shlex.quote(word).replace("\r", "'$'\\r''")


def one_line(text: str) -> str:
    """Text that ends neither a comment nor a directive."""
    return "".join(c if c.isprintable() else "?" for c in text)
