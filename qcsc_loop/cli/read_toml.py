"""Files that a command is given."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from qcsc_loop.errors import InvalidParameters


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file says.

    Raises:
        InvalidParameters: it is none.
    """
    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidParameters(str(path), [f"this is not TOML: {error}"], []) from error
