"""A package's public names, imported on first use: importing the package is instant."""

from __future__ import annotations

TYPE_CHECKING = False  # of typing, which takes longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


def lazy_face(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and the `__dir__` of a package's file; `__version__` is the distribution's.

    Args:
        homes: public name to the module that defines it, as seen from inside the package: `a.b`
            is below it, `.a.b` beside it.
    """

    def find(name: str) -> Any:  # whatever is exported
        if name == "__version__":
            from importlib.metadata import version

            return version("qcsc-loop")
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(f".{homes[name]}", package), name)

    return find, lambda: sorted(homes)
