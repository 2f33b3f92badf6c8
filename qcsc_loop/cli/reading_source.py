"""Classes and their fields as they stand in a file, read without importing it."""

from __future__ import annotations

import os
import sys
import warnings
from _ast import AnnAssign, ClassDef, If, ImportFrom, Module, Name, PyCF_ONLY_AST, Subscript

TYPE_CHECKING = False  # of typing, which takes longer to import than all of this
if TYPE_CHECKING:
    from _ast import expr, stmt
    from collections.abc import Iterator, Sequence

DEEPEST = 8  # bases of bases, and packages' faces between them
_LIBRARIES = ("pydantic", "typing", "abc")


def classes_in(file: str) -> list[str]:
    """The classes that a file defines, but for private ones; none if it cannot be read."""
    names = (node.name for node in _tree(file).body if isinstance(node, ClassDef))
    return [name for name in names if not name.startswith("_")]


def fields_of(reference: str) -> list[str]:
    """The fields of a class, `module:Class` or `file.py:Class`, with those of its bases."""
    place, _, name = reference.rpartition(":")
    file = place if place.endswith(".py") else find_module(place)
    found = dict.fromkeys(_fields(file, name, DEEPEST))
    return [field for field in found if not field.startswith("_")]


def find_module(module: str) -> str:
    """A module's file, found without importing the packages that it is in; empty: there is none."""
    package, *below = module.split(".")
    for finder in sys.meta_path:
        spec = finder.find_spec(package, None)
        if spec is not None:
            break
    else:
        return ""
    for folder in spec.submodule_search_locations or ():
        path = os.path.join(folder, *below)
        for file in (f"{path}.py", os.path.join(path, "__init__.py")):
            if below and os.path.isfile(file):
                return file
    return str(spec.origin or "")


def _fields(file: str, name: str, depth: int) -> Iterator[str]:
    """Of a class that stands in a file, or that the file has from elsewhere by name."""
    if not file or depth < 0:
        return
    tree = _tree(file)
    found = next((n for n in tree.body if isinstance(n, ClassDef) and n.name == name), None)
    if found is None:
        for module, original in _imported(tree.body, name):
            yield from _fields(find_module(module), original, depth - 1)
        return
    for base in found.bases:
        yield from _fields(file, _name(base), depth - 1)
    for node in found.body:
        if not isinstance(node, AnnAssign) or not isinstance(node.target, Name):
            continue
        if _name(node.annotation) != "ClassVar":
            yield node.target.id


def _imported(body: Sequence[stmt], name: str) -> Iterator[tuple[str, str]]:
    """Where a name is from; packages have theirs for type checkers, in an `if`."""
    for node in body:
        if isinstance(node, If):
            yield from _imported(node.body, name)
        if not isinstance(node, ImportFrom) or not node.module or node.level:
            continue
        if node.module.partition(".")[0] not in _LIBRARIES:
            yield from (
                (node.module, alias.name)
                for alias in node.names
                if (alias.asname or alias.name) == name
            )


def _name(node: expr) -> str:
    if isinstance(node, Subscript):
        node = node.value
    return node.id if isinstance(node, Name) else ""


def _tree(file: str) -> Module:
    with open(file, "rb") as source, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a newer Python thinks of somebody's source
        tree = compile(source.read(), file, "exec", PyCF_ONLY_AST, dont_inherit=True)
    assert isinstance(tree, Module)
    return tree
