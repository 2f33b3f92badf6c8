"""A class owns one thing: it has at most so many lines and methods, or says why not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import qcsc_algorithms
import qcsc_hpc
import qcsc_loop

MOST_LINES, MOST_METHODS = 200, 15
REASONS = {
    "BatchSite": "a site: a method for each thing that the protocol asks of it",
    "DirectoryStore": "a method for each thing that a run asks of its disk",
    "FakeBatchSystem": "a face: a method for each thing that a test may do or see",
    "FakeIBMQuantum": "a face: a method for each thing that a test may do or see",
    "IBMSite": "a site: a method for each thing that the protocol asks of it",
    "JobSite": "a site: a method for each thing that the protocol asks of it",
    "Journal": "a method for each record of a run, whose names only it knows",
    "Ledger": "a method for each entry of a job's life, whose file only it knows",
    "PBS": "two functions for each question that a scheduler is asked",
    "PJM": "two functions for each question that a scheduler is asked",
    "Run": "a face: a property for each thing that a person asks of a run",
    "PlainSQD": "an algorithm: a method for each hook, and for each thing that it may add to one",
    "RunArtifacts": "a method for each kind of a run's artifacts, whose keys only it knows",
    "RunPage": "a method for each paragraph of a page",
    "Scheduler": "two functions for each question that a scheduler is asked",
    "Slurm": "two functions for each question that a scheduler is asked",
    "Store": "a method for each thing that a run asks of its disk",
    "Sweeping": "a method for each decision about a member, which all read the same records",
    "View": "a property for each thing that every view of a run shows",
    "_Lines": "a method for each part of a picture, which all look at the same view",
    "State": "a method for each thing that a fake scheduler's command asks of its one file",
}


def classes(package: ModuleType) -> Iterator[ast.ClassDef]:
    """All that are written in the package."""
    (folder,) = package.__path__
    for path in sorted(Path(folder).rglob("*.py")):
        yield from (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ClassDef))


def is_large(found: ast.ClassDef) -> bool:
    methods = [n for n in found.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    lines = (found.end_lineno or 0) - found.lineno + 1
    return lines > MOST_LINES or len(methods) > MOST_METHODS


def test_only_classes_with_a_reason_are_large() -> None:
    packages = (qcsc_loop, qcsc_hpc, qcsc_algorithms)
    large = {found.name for package in packages for found in classes(package) if is_large(found)}
    assert large == REASONS.keys(), "cut it by what it owns, or say here and beside it why not"
