"""What other distributions' commands say of themselves, read without importing anything of theirs.

Their names stand in `entry_points.txt`, what they do in the docstring of the function. Both are
read as text: `--help` neither waits for a plug-in nor fails with it, and `importlib.metadata`
alone takes three times as long to import as all of this does to run.
"""

from __future__ import annotations

import os
import sys
import warnings
from _ast import Constant, Expr, FunctionDef, Module, PyCF_ONLY_AST

TYPE_CHECKING = False  # of typing, which takes longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Iterator

GROUP = "qcsc_loop.commands"


class PluginCommand:
    """A command that an installed distribution offers.

    Attributes:
        place: where it is, `package.module:function`.
        distribution: whose it is.
    """

    __slots__ = ("distribution", "name", "place")

    def __init__(self, name: str, place: str, distribution: str) -> None:
        self.name, self.place, self.distribution = name, place, distribution


def find_plugin_commands() -> list[PluginCommand]:
    """The commands of installed distributions, by name; of two of one name, one.

    Those of a group of ours, `group.name`, are listed by the group.
    """
    found: dict[str, PluginCommand] = {}
    for distribution, text in _distributions():
        for name, place in _entries(text, GROUP):
            if "." in name:
                continue
            found.setdefault(name, PluginCommand(name, place, distribution))
    return [found[name] for name in sorted(found)]


def find_plugins(group: str) -> Iterator[tuple[str, str]]:
    """Names and places of all that installed distributions offer in a group."""
    for _, text in _distributions():
        yield from _entries(text, group)


def read_summary(command: PluginCommand) -> str:
    """The first line of its function's docstring; whose it is where there is none to be read."""
    module, _, function = command.place.partition(":")
    try:
        summary = _summary(_source(module), function.strip())
    except Exception:  # whatever is wrong with it, it is not `--help`'s to fail
        summary = ""
    return summary or f"A command of {command.distribution}."


def _distributions() -> Iterator[tuple[str, str]]:
    """The name and the entry points of each, the one that is imported before others of its name."""
    seen: set[str] = set()
    for folder in sys.path:
        try:
            names = sorted(os.listdir(folder or "."))
        except OSError:  # none, or a zip file
            continue
        for name in names:
            if not name.endswith((".dist-info", ".egg-info")):
                continue
            distribution = name.partition("-")[0].removesuffix(".egg").replace("_", "-")
            if distribution not in seen:
                seen.add(distribution)
                yield distribution, _text(os.path.join(folder, name, "entry_points.txt"))


def _text(file: str) -> str:
    try:
        with open(file, encoding="utf-8") as lines:
            return lines.read()
    except (OSError, ValueError):  # it has none, or not as text
        return ""


def _entries(text: str, group: str) -> Iterator[tuple[str, str]]:
    """Names and places in a group's section."""
    _, section, rest = text.partition(f"[{group}]")
    for line in rest.partition("\n[")[0].splitlines() if section else ():
        name, equals, place = line.partition("=")
        if equals and not line.lstrip().startswith("#"):
            yield name.strip(), place.strip()


def _source(module: str) -> bytes:
    """The text of a module, found without importing the packages that it is in."""
    package, *below = module.split(".")
    spec = next(s for f in sys.meta_path if (s := f.find_spec(package, None)) is not None)
    folders = list(spec.submodule_search_locations or ())
    for path in (os.path.join(folder, *below) for folder in folders):
        for file in (f"{path}.py", os.path.join(path, "__init__.py")):
            if below and os.path.isfile(file):
                return _bytes(file)
    return _bytes(str(spec.origin))


def _bytes(file: str) -> bytes:
    with open(file, "rb") as source:
        return source.read()


def _summary(source: bytes, function: str) -> str:
    with warnings.catch_warnings():  # of what a newer Python thinks of somebody's source
        warnings.simplefilter("ignore")
        tree = compile(source, "<command>", "exec", PyCF_ONLY_AST, dont_inherit=True)
    assert isinstance(tree, Module)
    for node in tree.body:
        if isinstance(node, FunctionDef) and node.name == function:
            match node.body[0]:
                case Expr(value=Constant(value=str(docstring))):
                    return docstring.strip().partition("\n")[0]
    return ""
