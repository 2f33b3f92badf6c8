"""README, docs and examples teach the public faces only, and no page names what is not there."""

from __future__ import annotations

import ast
import builtins
import re
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "qcsc_loop": ROOT / "qcsc_loop",
    "qcsc_hpc": ROOT / "hpc" / "qcsc_hpc",
    "qcsc_algorithms": ROOT / "algorithms" / "qcsc_algorithms",
}
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
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
GROUPS = PROJECT["project"]["entry-points"]
POINTS = {target for group in GROUPS.values() for target in group.values()}

PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/**/README.md")})
TAUGHT = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
EXAMPLES = sorted(ROOT.glob("examples/**/*.py"))
SETTINGS = sorted(ROOT.glob("examples/**/*.toml"))
SOURCES = sorted(path for place in PACKAGES.values() for path in place.rglob("*.py"))

# a name of ours with dots or a colon in it, and no part of a path
DOTTED = re.compile(r"(?<![\w/.-])(?:python -m )?(?:qcsc_\w+)(?:\.\w+)*(?::\w+)?(?![\w/])")
PLACE = re.compile(r"`((?:qcsc_loop|hpc|algorithms|tests|docs|examples|benchmarks)/[\w./-]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
CALLED = re.compile(r"`(?:await )?([A-Za-z_]\w*)\(")
ROW = re.compile(r"^\| `([^`]+)` \|")


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def exported(face: str) -> frozenset[str]:
    """What a face offers, as its file lists it."""
    package, *inner = face.split(".")
    tree = ast.parse(PACKAGES[package].joinpath(*inner, "__init__.py").read_text())
    (names,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    return frozenset([*ast.literal_eval(names), "__version__"])


def offered(name: str) -> bool:
    """Whether a dotted name is a face or what one exports."""
    face, _, last = name.rpartition(".")
    return name in FACES or (face in FACES and last in exported(face))


@cache
def defined(module: str) -> frozenset[str] | None:
    """The names at the top of a module's file; None if there is no such module."""
    package, *inner = module.split(".")
    place = PACKAGES.get(package, ROOT / "nowhere").joinpath(*inner)
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    if not file.is_file():
        return None
    tree = ast.parse(file.read_text())
    classes = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    names = {node.name for node in tree.body if isinstance(node, classes)}
    assigned = (node for node in tree.body if isinstance(node, ast.Assign))
    names |= {ast.unparse(target) for node in assigned for target in node.targets}
    return frozenset(names | (exported(module) if module in FACES else set()))


def exists(name: str) -> bool:
    """Whether a dotted name, `module:name` or `module.name` is somewhere in the packages."""
    module, colon, attribute = name.partition(":")
    if not colon and defined(module) is None:
        module, _, attribute = name.rpartition(".")
    names = defined(module) if module else None
    return names is not None and (not attribute or attribute in names)


def is_public(name: str) -> bool:
    """A face, what it exports, a program, an entry point or the name of a group of them."""
    program = name.removeprefix("python -m ")
    if program != name:
        return defined(program) is not None
    return offered(name.replace(":", ".")) or name in GROUPS or name in POINTS


def python_blocks(page: Path) -> Iterator[ast.Module]:
    """A page's examples: each sees what the blocks before it have defined, as a reader does."""
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL):
        yield ast.parse(block)


def not_offered(tree: ast.AST) -> list[str]:
    """The imports of ours in it that are no face's."""
    wrong = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name not in FACES]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name for name in names if not offered(name) or node.module not in FACES]
        else:
            continue
        wrong += [name for name in names if name.startswith("qcsc_")]
    return wrong


def bound(tree: ast.AST) -> set[str]:
    """The names that a piece of code defines or imports."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def needed(tree: ast.AST) -> set[str]:
    """The classes that it names, and the functions that it calls."""
    names = (node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {name for name in names if name[0].isupper()}.union(
        called.id for called in calls if isinstance(called, ast.Name)
    )


def test_every_face_has_a_list_of_its_names() -> None:
    assert all(len(exported(face)) > 3 for face in FACES)


@pytest.mark.parametrize("path", TAUGHT, ids=shown)
def test_code_in_a_page_imports_from_the_faces_only(path: Path) -> None:
    assert [name for block in python_blocks(path) for name in not_offered(block)] == []


@pytest.mark.parametrize("path", EXAMPLES, ids=shown)
def test_an_example_imports_from_the_faces_only(path: Path) -> None:
    assert not_offered(ast.parse(path.read_text())) == []


@pytest.mark.parametrize("path", TAUGHT, ids=shown)
def test_what_code_in_a_page_uses_is_offered_by_a_face(path: Path) -> None:
    known = set(dir(builtins)).union(*(exported(face) for face in FACES))
    wanted: set[str] = set(CALLED.findall(path.read_text()))
    for block in python_blocks(path):
        known |= bound(block)
        wanted |= needed(block)
    assert sorted(wanted - known) == []


@pytest.mark.parametrize("path", [*TAUGHT, *EXAMPLES, *SETTINGS], ids=shown)
def test_names_in_a_page_or_an_example_are_public(path: Path) -> None:
    assert [name for name in DOTTED.findall(path.read_text()) if not is_public(name)] == []


def test_names_in_docstrings_are_public() -> None:
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    wrong = [
        f"{shown(path)}:{node.lineno}: {name}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, kinds)
        for name in DOTTED.findall(ast.get_docstring(node) or "")
        if not is_public(name)
    ]
    assert wrong == []


@pytest.mark.parametrize("path", [*PAGES, ROOT / "pyproject.toml"], ids=shown)
def test_a_name_in_any_page_means_something(path: Path) -> None:
    named = DOTTED.findall(path.read_text())
    assert [n for n in named if not is_public(n) and not exists(n) and n not in PACKAGES] == []


@pytest.mark.parametrize("path", PAGES, ids=shown)
def test_every_file_that_a_page_names_is_there(path: Path) -> None:
    text = path.read_text()
    links = [link.partition("#")[0] for link in LINK.findall(text) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []
    named, places = PLACE.findall(text), (ROOT, path.parent)
    assert [name for name in named if not any((p / name).exists() for p in places)] == []


def rooms(place: Path) -> set[str]:
    """A package's folders and modules, as its contract names them."""
    folders = {path.parent.name for path in place.glob("*/__init__.py")}
    return folders | {path.stem for path in place.glob("*.py")} - {"__init__"}


def floors(package: str) -> list[set[str]]:
    """A package's rooms from the top down, as import-linter holds them."""
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    layers: Sequence[str] = next(
        (one["layers"] for one in contracts if one.get("containers") == [package]), []
    )
    return [set(layer.split(" | ")) for layer in layers]


def table_of_rooms() -> dict[str, list[str]]:
    """The rooms that CONTRIBUTING.md has a line for, by package, in its order."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "CONTRIBUTING.md").read_text().splitlines():
        if (row := ROW.match(line)) is not None:
            package, _, room = row[1].partition(".")
            found.setdefault(package, []).append(room)
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_the_table_names_exactly_the_rooms_that_there_are(package: str) -> None:
    named = table_of_rooms()[package]
    assert sorted(named) == sorted(rooms(PACKAGES[package]))


@pytest.mark.parametrize("package", ["qcsc_loop", "qcsc_hpc"])
def test_the_table_goes_from_the_top_floor_down(package: str) -> None:
    of_floor = {room: k for k, floor in enumerate(floors(package)) for room in floor}
    named = [of_floor[room] for room in table_of_rooms()[package] if room in of_floor]
    assert named == sorted(named)
    assert len(named) == len(of_floor)
