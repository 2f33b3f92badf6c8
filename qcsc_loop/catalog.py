"""Finding an algorithm's class by name, and naming a class so that it is found again."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

from qcsc_loop.algorithm import AnyAlgorithm, IterativeAlgorithm
from qcsc_loop.concurrency.loading import load_file, load_module, loaded_from
from qcsc_loop.errors import (
    AlgorithmNotImported,
    AlgorithmNotNamed,
    InputError,
    InvalidParameters,
    NewerDocument,
    UnknownAlgorithm,
)
from qcsc_loop.parameters.build import build, merge
from qcsc_loop.parameters.operational import what_changes_results
from qcsc_loop.plain import is_utf8
from qcsc_loop.plugins import distribution, offered
from qcsc_loop.reports.failure import describe_failure
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.records import Settings
from qcsc_loop.store.versions import this_version

GROUP = "qcsc_loop.algorithms"

AlgorithmType = type[IterativeAlgorithm[Any, Any, Any]]


def installed_algorithms() -> dict[str, EntryPoint]:
    """The algorithms that installed distributions offer by name."""
    return offered(GROUP)


def find_algorithm(name: str) -> AlgorithmType:
    """The class behind a known name, `path/to/file.py:Class` or `package.module:Class`.

    Raises:
        UnknownAlgorithm: there is none; says what was missing.
    """
    if (point := installed_algorithms().get(name)) is not None:
        return _offered_class(name, point)
    place, colon, class_name = name.rpartition(":")
    if not colon or not place:
        raise UnknownAlgorithm(name, _without_class(name), installed_algorithms())
    try:
        module = _module(name, place)
    except UnknownAlgorithm as error:
        moved = _moved(place, class_name)
        if moved is None or not _is_missing(place, error.__cause__):
            raise
        return find_algorithm(moved)
    return _class(name, module, class_name)


def is_installed(reference: str) -> bool:
    """Whether an installed distribution offers that class, where it is now or was once."""
    place, _, class_name = reference.rpartition(":")
    values = {point.value for point in installed_algorithms().values()}
    return reference in values or _moved(place, class_name) is not None


def recorded_algorithm(
    journal: Journal, *, named: str | None = None, changed: Mapping[str, Any] | None = None
) -> AnyAlgorithm:
    """The algorithm that a run was begun with, and its newest parameters. Imports its file.

    Args:
        named: where its class is now, if it was moved.
        changed: parameters given anew.

    Raises:
        StoreNotPrivate: others may have written which one that is.
        AlgorithmNotNamed: a later driver had other code, or another user's records say which.
        UnknownAlgorithm: its class is not found.
        InvalidParameters: it does not take what is given anew.
        NewerDocument: it needs what a newer version has.
    """
    journal.store.require_own(journal.run_id)
    settings = journal.settings()
    name = named or _recorded_code(journal, settings)
    try:
        kind = find_algorithm(name)
        parameters = settings.parameters
        if journal.written_by_other():
            parameters = what_changes_results(build(kind, parameters))
        return build(kind, merge(parameters, changed or {}))
    except (UnknownAlgorithm, InvalidParameters) as error:
        newer = journal.newer_version()
        if newer is None or (changed and _can_be_built(name, settings.parameters)):
            raise
        raise NewerDocument(journal.run_id, newer, this_version(), str(error)) from error


def _recorded_code(journal: Journal, newest: Settings) -> str:
    """What the run's own record names: what runs is not for any later record to say."""
    first = journal.record().settings.algorithm
    other = journal.written_by_other()
    if journal.was_imported() and not is_installed(first):
        found = f"run {journal.run_id!r} was imported, and names the code {first}"
        raise AlgorithmNotNamed(
            journal.run_id, found, "Code is not taken from what came from elsewhere", first
        )
    if other and not is_installed(first):
        found = f"run {journal.run_id!r} was written by {other}, with the code {first}"
        why = "Code is not taken from what others wrote"
        raise AlgorithmNotNamed(journal.run_id, found, why, first)
    if newest.algorithm != first and not is_installed(newest.algorithm):
        found = (
            f"run {journal.run_id!r} was begun with the code {first}, and its newest driver had "
            f"{newest.algorithm}"
        )
        why = "Which one is meant only you can say"
        raise AlgorithmNotNamed(journal.run_id, found, why, newest.algorithm)
    return first


def _can_be_built(name: str, parameters: Mapping[str, Any]) -> bool:
    try:
        build(find_algorithm(name), parameters)
    except InputError:
        return False
    return True


def _offered_class(name: str, point: EntryPoint) -> AlgorithmType:
    try:
        return find_algorithm(point.value)
    except UnknownAlgorithm as error:
        why = f"distribution {distribution(point)} offers it as {point.value}, and {error.why}"
        others = [known for known in error.known if known != name]
        raise UnknownAlgorithm(name, why, others) from error


def _without_class(name: str) -> str:
    """Why a name without a colon is none; of a file, which classes can be named."""
    if not name.endswith(".py") or not Path(name).expanduser().is_file():
        return "no installed package offers that name"
    offered = [n for n, value in vars(_module(name, name)).items() if _is_own(value)]
    if not offered:
        return "it has no IterativeAlgorithm"
    return f"the class is missing, as in {' or '.join(f'{name}:{each}' for each in offered)}"


def _is_own(value: object) -> bool:
    """Whether it is an algorithm that its file defines, rather than one that it imports."""
    return _is_algorithm(value) and bool(loaded_from(getattr(value, "__module__", "")))


def _is_missing(place: str, error: BaseException | None) -> bool:
    """Whether nothing has this module's name, rather than that its code fails."""
    return isinstance(error, ModuleNotFoundError) and f"{place}.".startswith(f"{error.name}.")


def _moved(place: str, class_name: str) -> str | None:
    """Where an installed name has a class of that package now; runs keep where it was."""
    package = place.partition(".")[0]
    return next(
        (
            point.value
            for point in installed_algorithms().values()
            if point.attr == class_name and point.module.partition(".")[0] == package
        ),
        None,
    )


def _module(name: str, place: str) -> ModuleType:
    path = Path(place).expanduser().resolve()
    if place.endswith(".py") and not path.is_file():
        raise UnknownAlgorithm(name, f"there is no file {place}", installed_algorithms())
    if place.endswith(".py") and not is_utf8(str(path)):
        why = f"the name of {path} is not UTF-8, in which runs are recorded; move it"
        raise UnknownAlgorithm(name, why, installed_algorithms())
    try:
        if place.endswith(".py"):
            return load_file(path)
        return load_module(place)
    except (Exception, SystemExit) as error:  # whatever the user's module does when imported
        why = f"importing {place} raised {describe_failure(error)}"
        raise AlgorithmNotImported(name, why, installed_algorithms()) from error


def _class(name: str, module: ModuleType, class_name: str) -> AlgorithmType:
    found: Any = module
    for part in class_name.split("."):
        found = getattr(found, part, None)
    if inspect.isclass(found) and issubclass(found, IterativeAlgorithm):
        return found
    offered = [n for n, value in vars(module).items() if _is_algorithm(value)]
    listed = f"it has {', '.join(offered)}" if offered else "it has no IterativeAlgorithm"
    what = "is no IterativeAlgorithm" if found is not None else "is not in it"
    raise UnknownAlgorithm(name, f"{class_name} {what} ({listed})", installed_algorithms())


def _is_algorithm(value: object) -> bool:
    return (
        inspect.isclass(value)
        and issubclass(value, IterativeAlgorithm)
        and not inspect.isabstract(value)
    )
