"""What the faces beside `qcsc_loop` offer: all of it can be imported, and tools see the same."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

LAZY = (
    "qcsc_loop.deployments",
    "qcsc_loop.optimizers",
    "qcsc_loop.testing",
    "qcsc_hpc",
    "qcsc_hpc.testing",
    "qcsc_algorithms.sqd",
)
FACES = (
    *LAZY,
    "qcsc_algorithms.bitcount",
    "qcsc_algorithms.minimization",
    "qcsc_algorithms.vqe",
)
HEAVY = {"numpy", "pydantic", "qiskit", "prefect", "mpi4py", "scipy", "anyio", "pyscf", "ffsim"}
EXTRA = {"pyscf", "ffsim"}  # of the extra `sqd`: what needs them says so when it is used

every_face = pytest.mark.parametrize("face", FACES)


def listed(face: str) -> list[str]:
    """The names in its `__all__`."""
    names: list[str] = importlib.import_module(face).__all__
    return names


def seen_by_type_checkers(face: str) -> set[str]:
    """The names that its file imports, also those under `if TYPE_CHECKING:`."""
    tree = ast.parse(Path(str(importlib.import_module(face).__file__)).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = {alias.asname or alias.name for node in imports for alias in node.names}
    return names - {"annotations", "lazy_face"}


def printed_by(code: str) -> list[str]:
    """The lines that a fresh interpreter prints."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


MODULES = "import sys; print(*{m.partition('.')[0] for m in sys.modules})"


@cache
def after_star_import(face: str) -> tuple[list[str], set[str]]:
    """The names that all of a face's names are, and the packages that were loaded for them."""
    names = "print(*sorted(n for n in dir() if not n.startswith('__')))"
    bound, loaded = printed_by(f"from {face} import *; {names}; {MODULES}")
    return bound.split(), set(loaded.split())


@every_face
def test_every_name_of_a_face_can_be_imported(face: str) -> None:
    module = importlib.import_module(face)
    assert [name for name in listed(face) if getattr(module, name) is None] == []


@every_face
def test_classes_and_functions_of_a_face_are_called_as_they_are_exported(face: str) -> None:
    exported = {name: getattr(importlib.import_module(face), name) for name in listed(face)}
    own = {n: v for n, v in exported.items() if inspect.isclass(v) or inspect.isfunction(v)}
    assert own
    assert {name: value.__name__ for name, value in own.items()} == {name: name for name in own}


@every_face
def test_type_checkers_see_exactly_the_names_of_a_face(face: str) -> None:
    assert seen_by_type_checkers(face) == set(listed(face))


@pytest.mark.parametrize("face", LAZY)
def test_tools_are_shown_exactly_the_names_of_a_face(face: str) -> None:
    assert sorted(dir(importlib.import_module(face))) == sorted(listed(face))


@every_face
def test_no_name_of_a_face_is_listed_twice(face: str) -> None:
    assert len(set(listed(face))) == len(listed(face))


@every_face
def test_a_star_import_gives_exactly_the_names_of_a_face(face: str) -> None:
    assert after_star_import(face)[0] == sorted(listed(face))


@every_face
def test_no_name_of_a_face_loads_an_extra(face: str) -> None:
    assert EXTRA.isdisjoint(after_star_import(face)[1])


@every_face
def test_another_name_is_no_attribute_of_a_face(face: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{face}' has no attribute 'Manager'"):
        importlib.import_module(face).Manager  # noqa: B018  # the access is what is tested


@pytest.mark.parametrize("face", LAZY)
def test_importing_a_face_loads_nothing_heavy(face: str) -> None:
    loaded = printed_by(f"import sys, {face}; print(*{{m.partition('.')[0] for m in sys.modules}})")
    assert HEAVY.isdisjoint(loaded)
