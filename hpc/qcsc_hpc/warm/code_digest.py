"""Which source a module is made of: ranks that wait have imported it, and do not see an edit."""

from __future__ import annotations

import hashlib
import importlib.util
from functools import lru_cache
from pathlib import Path


def code_digest(module: str) -> str:
    """A hash over all Python files of the module's top package, or over its one file.

    Empty where it cannot be found from here: the machine may have what this one has not.

    Args:
        module: its name, or the path of a file.
    """
    if module.endswith(".py"):
        return files_digest([Path(module)])
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return ""
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return ""
    return files_digest(_files(module, Path(spec.origin)))


def _files(module: str, origin: Path) -> list[Path]:
    depth = module.count(".") + (origin.name == "__init__.py")
    if depth == 0:
        return [origin]
    return sorted(origin.parents[depth - 1].rglob("*.py"))


def files_digest(files: list[Path]) -> str:
    """A hash over the content of files, in their order."""
    total = hashlib.sha256()
    for path in files:
        found = path.stat()
        total.update(_content(str(path), found.st_mtime_ns, found.st_size))
    return total.hexdigest()


@lru_cache(maxsize=4096)
def _content(path: str, _modified: int, _size: int) -> bytes:
    return hashlib.sha256(Path(path).read_bytes()).digest()
