"""Files that a command is given."""

from __future__ import annotations

import tomllib
from pathlib import Path

from qcsc_loop.errors import InvalidParameters
from qcsc_loop.plain import Json


def read_toml(path: Path) -> Json:
    """What a TOML file says.

    Raises:
        InvalidParameters: it is none.
    """
    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidParameters(str(path), [f"this is not TOML: {error}"], []) from error
