"""A page for each public name: its docstring, its example, and where pages use it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from inspect import getmodule, isclass, isroutine
from pathlib import Path

from docs.builder.pages import DOCS, OF_NO_TREE, pages, place

FACES = (
    "qcsc_loop",
    "qcsc_loop.deployments",
    "qcsc_loop.optimizers",
    "qcsc_loop.testing",
    "qcsc_hpc",
    "qcsc_hpc.testing",
    "qcsc_algorithms.bitcount",
    "qcsc_algorithms.minimization",
    "qcsc_algorithms.sqd",
    "qcsc_algorithms.vqe",
)
EXAMPLES = DOCS / "api"  # a file a face, a section a name
ERRORS = """\
# Errors

```{eval-rst}
.. automodule:: qcsc_loop.errors
   :members:
   :exclude-members: JobFailed, QcscLoopError
   :show-inheritance:
```
"""
SECTION = re.compile(r"^## (\w+)\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)


def write_names(folder: Path) -> None:
    """Writes the pages: a folder a face."""
    folder.mkdir(parents=True)
    for face in FACES:
        _write_face(face, folder / face)
    rows = "\n".join(f"[`{face}`]({face}/index.md)\n: {_first_line(face)}\n" for face in FACES)
    tree = "\n".join([*(f"{face}/index" for face in FACES), "errors"])
    (folder / "errors.md").write_text(ERRORS, encoding="utf-8")
    text = f"# Python\n\n{rows}\n```{{toctree}}\n:hidden:\n\n{tree}\n```\n"
    (folder / "index.md").write_text(text, encoding="utf-8")


def public_names(face: str) -> list[str]:
    """What a face offers."""
    names: list[str] = import_module(face).__all__
    return sorted(names, key=str.casefold)


def examples(face: str) -> dict[str, str]:
    """The example of each of a face's names that has one beside its docstring."""
    return dict(SECTION.findall((EXAMPLES / f"{face}.md").read_text()))


def _write_face(face: str, folder: Path) -> None:
    folder.mkdir()
    names, shown = public_names(face), examples(face)
    for name in names:
        text = "\n".join(_page(face, name, shown.get(name, "")))
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    rows = "\n".join(f"[`{name}`]({name}.md)\n: {_summary(face, name)}\n" for name in names)
    text = f"# {face}\n\n{_first_line(face)}\n\n{rows}\n"
    (folder / "index.md").write_text(text, encoding="utf-8")


def _page(face: str, name: str, example: str) -> Iterator[str]:
    yield OF_NO_TREE
    yield f"# {name}\n"
    if not example:
        yield f"```python\nfrom {face} import {name}\n```\n"
    yield f"```{{eval-rst}}\n{_directive(face, name)}\n```\n"
    if example:
        yield f"## An example\n{example}"
    if users := [*users_of(name)]:
        links = (f"[{_title(page)}](../../../{place(page)}.md)" for page in users)
        yield f"Used in {', '.join(links)}.\n"


def _directive(face: str, name: str) -> str:
    what = getattr(import_module(face), name)
    if isclass(what):
        return (
            f".. autoclass:: {face}.{name}\n   :members:\n   :show-inheritance:{_of_private(what)}"
        )
    if isroutine(what):
        return f".. autofunction:: {face}.{name}"
    return f".. autodata:: {face}.{name}\n   :no-value:"


def _of_private(class_: type) -> str:
    """Has what bases without a page of their own define shown with the class."""
    if not any(base.__name__.startswith("_") for base in class_.__bases__):
        return ""
    others = [base.__name__ for base in class_.__mro__[1:] if not base.__name__.startswith("_")]
    return f"\n   :inherited-members: {', '.join(others)}"


def users_of(name: str) -> Iterator[Path]:
    """The pages with Python that imports the name."""
    imports = re.compile(rf"^from qcsc_[\w.]+ import .*\b{name}\b", re.MULTILINE)
    for page in pages():
        blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
        if any(imports.search(block) for block in blocks):
            yield page


def _summary(face: str, name: str) -> str:
    what = getattr(import_module(face), name)
    own = isclass(what) or isroutine(what) or getmodule(type(what)) is getmodule(what)
    words = (what.__doc__ or "").strip().splitlines() if own else []
    return words[0].replace("*", r"\*") if words else "a type that others are written in"


def _first_line(face: str) -> str:
    return (import_module(face).__doc__ or "").strip().splitlines()[0]


def _title(page: Path) -> str:
    return page.read_text().splitlines()[0].removeprefix("# ").replace("`", "")
