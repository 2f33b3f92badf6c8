"""Finding an algorithm's class by name, and naming a class so that it is found again."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from other_process import printed_by
from qcsc_algorithms.bitcount import BitCount
from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.catalog import find_algorithm, installed_algorithms
from qcsc_loop.concurrency.loading import class_reference
from qcsc_loop.errors import UnknownAlgorithm

SOURCE = """
from qcsc_loop import IterativeAlgorithm, State

class Point(State):
    x: float = 0.0

class Descent(IterativeAlgorithm[Point, float, float]):
    async def initialize(self): return Point()
    async def sample(self, state): return 0.0
    async def evaluate(self, state, samples): return 0.0
    async def update(self, state, evaluation): return state

class Ascent(Descent):
    pass

class Family:
    class Member(Descent):
        pass
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's file with algorithms, in a folder that becomes the current one."""
    path = tmp_path / "walks.py"
    path.write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return path


def refusal(name: str) -> str:
    with pytest.raises(UnknownAlgorithm) as caught:
        find_algorithm(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# what is found


def test_an_installed_algorithm_is_found_by_its_name() -> None:
    assert find_algorithm("bitcount") is BitCount


def test_installed_algorithms_are_known() -> None:
    assert "bitcount" in installed_algorithms()


def test_a_class_is_found_by_module_and_name() -> None:
    assert find_algorithm("qcsc_algorithms.bitcount:BitCount") is BitCount


def test_a_class_is_found_by_file_and_name(file: Path) -> None:
    found = find_algorithm(f"{file}:Descent")

    assert issubclass(found, IterativeAlgorithm)
    assert found.__name__ == "Descent"


def test_a_class_is_found_by_a_file_relative_to_the_current_folder(file: Path) -> None:
    assert find_algorithm("walks.py:Descent") is find_algorithm(f"{file}:Descent")


def test_a_class_is_found_by_a_file_below_the_home(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(file.parent))

    assert find_algorithm("~/walks.py:Descent") is find_algorithm(f"{file}:Descent")


def test_a_class_is_found_by_a_module_in_the_current_folder(file: Path) -> None:
    module = f"walks_{os.getpid()}_here"
    file.rename(file.with_name(f"{module}.py"))

    assert find_algorithm(f"{module}:Descent").__module__ == module


def test_what_is_installed_comes_before_the_current_folder(file: Path) -> None:
    """A folder may have any file: `attr.py` would be taken for what others import."""
    file.with_name("attr.py").write_text("raise ImportError('not the one that is meant')\n")
    file.rename(file.with_name("walks_here.py"))
    code = (
        "import sys; from qcsc_loop.catalog import find_algorithm; assert 'attr' not in sys.modules; "
        "find_algorithm('walks_here:Descent'); import attr; print(attr.__file__)"
    )
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    installed = importlib.util.find_spec("attr")
    assert installed is not None
    assert (done.returncode, done.stdout) == (0, f"{installed.origin}\n"), done.stderr


def test_a_file_is_executed_once(file: Path) -> None:
    file.write_text(f"{SOURCE}\nwith open('executed', 'a') as log:\n    log.write('x')\n")
    find_algorithm(f"{file}:Descent")
    find_algorithm(f"{file}:Ascent")

    assert Path("executed").read_text() == "x"


def test_a_file_may_import_its_neighbours(file: Path) -> None:
    neighbour = f"neighbour_{os.getpid()}"
    file.with_name(f"{neighbour}.py").write_text("RATE = 0.5\n")
    file.write_text(f"from {neighbour} import RATE\n{SOURCE}")

    assert find_algorithm(f"{file}:Descent").__name__ == "Descent"


def test_a_file_named_like_an_installed_module_does_not_take_its_place(file: Path) -> None:
    import random

    shadow = file.rename(file.with_name("random.py"))

    assert find_algorithm(f"{shadow}:Descent").__name__ == "Descent"
    assert sys.modules["random"] is random


def test_a_file_that_failed_is_executed_again_after_the_fix(file: Path) -> None:
    file.write_text("1 / 0")
    refusal(f"{file}:Descent")
    file.write_text(SOURCE)

    assert find_algorithm(f"{file}:Descent").__name__ == "Descent"


# what is not


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    text = refusal("bitcont")

    assert text.startswith("there is no algorithm 'bitcont': no installed package offers that name")
    assert "Known by name: bitcount" in text
    assert text.endswith("or give path/to/file.py:Class or package.module:Class.")


def test_a_missing_file_is_named(file: Path) -> None:
    assert "there is no file steps.py." in refusal("steps.py:Descent")


def test_a_folder_is_no_file(file: Path) -> None:
    Path("folder.py").mkdir()

    assert "there is no file folder.py." in refusal("folder.py:Descent")


def test_a_missing_module_is_named() -> None:
    assert "No module named 'nowhere_at_all'" in refusal("nowhere_at_all:Descent")


def test_a_missing_class_is_answered_with_those_that_are_there(file: Path) -> None:
    assert "Decsent is not in it (it has Descent, Ascent)" in refusal(f"{file}:Decsent")


def test_a_class_that_is_no_algorithm_is_answered_with_those_that_are(file: Path) -> None:
    assert "Point is no IterativeAlgorithm (it has Descent, Ascent)" in refusal(f"{file}:Point")


def test_a_module_without_algorithms_says_so() -> None:
    assert "Descent is not in it (it has no IterativeAlgorithm)" in refusal("json:Descent")


def test_a_file_without_a_class_says_how_to_name_one(file: Path) -> None:
    assert "path/to/file.py:Class" in refusal(str(file))


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("1 / 0", "raised ZeroDivisionError: division by zero"),
        ("def f(:", "raised SyntaxError: invalid syntax (walks.py, line 1)"),
        ("import nowhere_at_all", "raised ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("open('no.fcidump')", "raised FileNotFoundError: [Errno 2] No such file or directory"),
        ("raise ValueError('two\\nlines')", "raised ValueError: two lines"),
        ("import sys; sys.exit('no licence')", "raised SystemExit: no licence"),
    ],
)
def test_a_file_that_fails_is_answered_with_its_error(source: str, why: str, file: Path) -> None:
    file.write_text(source)

    assert f"importing walks.py {why}" in refusal("walks.py:Descent")


def test_the_error_of_a_file_is_the_cause(file: Path) -> None:
    file.write_text("1 / 0")
    with pytest.raises(UnknownAlgorithm) as caught:
        find_algorithm(f"{file}:Descent")

    assert isinstance(caught.value.__cause__, ZeroDivisionError)


# naming a class


def test_an_installed_class_is_found_by_its_reference() -> None:
    assert find_algorithm(class_reference(BitCount)) is BitCount


@pytest.mark.parametrize("name", ["Descent", "Ascent"])
def test_a_class_from_a_file_is_found_by_its_reference(name: str, file: Path) -> None:
    found = find_algorithm(f"walks.py:{name}")

    assert class_reference(found) == f"{file}:{name}"
    assert find_algorithm(class_reference(found)) is found


def test_a_class_inside_another_is_found_by_its_reference(file: Path) -> None:
    find_algorithm("walks.py:Descent")
    family = vars(sys.modules[find_algorithm("walks.py:Descent").__module__])["Family"]

    assert find_algorithm(class_reference(family.Member)) is family.Member


def test_a_class_from_a_file_is_found_by_its_reference_from_another_folder(
    file: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = class_reference(find_algorithm("walks.py:Descent"))
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    find = "from qcsc_loop.catalog import find_algorithm"
    code = f"import sys; {find}; print(find_algorithm(sys.argv[1]).__name__)"

    assert printed_by(code, named) == "Descent"


def test_a_class_of_a_script_is_found_by_its_reference(file: Path) -> None:
    file.write_text(
        f"{SOURCE}\nfrom qcsc_loop.concurrency.loading import class_reference\n"
        "print(class_reference(Descent))\n"
    )
    as_a_script = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__')"

    named = printed_by(as_a_script, str(file))

    assert named == f"{file}:Descent"
    file.write_text(SOURCE)
    assert find_algorithm(named).__name__ == "Descent"


def test_a_class_that_was_moved_within_its_package_is_found_where_it_is_now() -> None:
    moved = find_algorithm("qcsc_algorithms.bitcount.algorithm:BitCount")
    assert moved is find_algorithm("bitcount")


def test_a_class_of_no_installed_name_is_not_looked_for_elsewhere() -> None:
    with pytest.raises(UnknownAlgorithm, match=r"No module named 'qcsc_algorithms\.gone'"):
        find_algorithm("qcsc_algorithms.gone:Nothing")
