"""What `import qcsc_loop` offers, and what it does not load."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import qcsc_loop
from other_process import printed_by

HEAVY = ("numpy", "pydantic", "qiskit", "prefect", "mpi4py", "scipy", "anyio")


def imported_for_type_checkers() -> set[str]:
    """The names under `if TYPE_CHECKING:` in the package's own file."""
    tree = ast.parse(Path(qcsc_loop.__file__).read_text())
    (block,) = (
        node for node in tree.body if isinstance(node, ast.If) and "TYPE" in ast.unparse(node.test)
    )
    imports = (node for node in block.body if isinstance(node, ast.ImportFrom))
    return {alias.asname or alias.name for node in imports for alias in node.names}


@pytest.mark.parametrize("name", qcsc_loop.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(qcsc_loop, name) is not None


def test_classes_and_functions_are_called_as_they_are_exported() -> None:
    exported = {name: getattr(qcsc_loop, name) for name in qcsc_loop.__all__}
    own = {n: v for n, v in exported.items() if inspect.isclass(v) or inspect.isfunction(v)}

    assert len(own) > 20
    assert {name: value.__name__ for name, value in own.items()} == {name: name for name in own}


def test_a_star_import_gives_exactly_the_public_names() -> None:
    code = "from qcsc_loop import *; print(*sorted(n for n in dir() if not n.startswith('__')))"

    assert printed_by(code).split() == sorted(qcsc_loop.__all__)


def test_tools_are_shown_exactly_the_public_names() -> None:
    assert sorted(dir(qcsc_loop)) == sorted(qcsc_loop.__all__)


def test_type_checkers_see_exactly_the_public_names() -> None:
    assert imported_for_type_checkers() == set(qcsc_loop.__all__)


def test_no_public_name_is_listed_twice() -> None:
    assert len(set(qcsc_loop.__all__)) == len(qcsc_loop.__all__)


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'qcsc_loop' has no attribute 'Manager'"):
        qcsc_loop.Manager  # noqa: B018  # the access is what is tested


def test_another_name_cannot_be_imported() -> None:
    with pytest.raises(ImportError, match="cannot import name 'Manager'"):
        exec("from qcsc_loop import Manager")


ONE_BY_ONE = """
import importlib, sys, qcsc_loop
for name in qcsc_loop.__all__:
    for module in [m for m in sys.modules if m.partition(".")[0] == "qcsc_loop"]:
        del sys.modules[module]
    getattr(importlib.import_module("qcsc_loop"), name)
print("all")
"""


def test_every_public_name_can_be_the_first_one_imported() -> None:
    assert printed_by(ONE_BY_ONE) == "all"


def loaded_after(code: str) -> set[str]:
    shown = "import sys; print(*{m.partition('.')[0] for m in sys.modules})"
    return set(printed_by(f"{code}\n{shown}").split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_after("import qcsc_loop").isdisjoint(HEAVY)


def test_importing_the_loop_loads_neither_prefect_nor_qiskit() -> None:
    everything = "import qcsc_loop; [getattr(qcsc_loop, name) for name in qcsc_loop.__all__]"

    assert loaded_after(everything).isdisjoint({"prefect", "qiskit", "qiskit_aer", "mpi4py"})
