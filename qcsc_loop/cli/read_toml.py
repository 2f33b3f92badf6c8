"""Files that a command is given."""

from __future__ import annotations

import tomllib
from pathlib import Path

from qcsc_loop.errors import InvalidParameters
from qcsc_loop.plain import Json


def read_toml(path: Path) -> Json:
    """What a TOML file says.

    Raises:
        InvalidParameters: it is none, or cannot be read.
    """
    try:
        # editors of other systems begin a file with a mark of its encoding
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidParameters(str(path), [f"this is not TOML: {error}"], []) from error
    except OSError as error:
        why = f"it cannot be read: {error.strerror or error}"
        raise InvalidParameters(str(path), [why], []) from error
