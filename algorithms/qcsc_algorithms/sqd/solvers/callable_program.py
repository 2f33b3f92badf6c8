"""Diagonalisation by a function written for qiskit-addon-sqd's `sci_solver`, in any process.

As a program: `python -m qcsc_algorithms.sqd.solvers.callable_program PROBLEM.npz SOLUTION.npz`; on
several ranks each of them calls the function, and the first one's result counts.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from qcsc_algorithms.sqd.determinants.configurations import from_integers
from qcsc_algorithms.sqd.solvers.problem_files import Arrays, ranks_asked_for, run_as_program
from qcsc_hpc.mpi.world import world
from qcsc_loop.concurrency.loading import load_file


class FunctionNotFound(ValueError):
    """A name that leads to no function."""


class NoSuchState(ValueError):
    """What a function returned is no result for its subspace."""


def lowest_state(problem: Arrays) -> dict[str, npt.NDArray[Any]]:
    """What the function finds in a product space of strings, and how good that is.

    Args:
        problem: `one_body` (norb, norb), `two_body` packed, `electrons` (2,), `alpha` and `beta`
            int64 strings in any order; `function`, its name; `options`, keyword arguments as JSON;
            `tolerance` of the residual, above which the state is said not to be converged.

    Returns:
        As `native_program.lowest_state`; residual and S^2 are computed here. Where the function
        gives no amplitudes they and the weights are NaN, and `alpha_rank` and `beta_rank` say which
        strings it wants to be carried over first.

    Raises:
        FunctionNotFound: there is none of that name.
        NoSuchState: it returned no result for this subspace.
    """
    return _described(problem, _the_one(call_function(problem)))


def call_function(problem: Arrays) -> Any:
    """What the function returns."""
    from pyscf import ao2mo

    function = find_function(str(problem["function"]))
    norb = len(problem["one_body"])
    orders = [np.argsort(problem[spin], kind="stable") for spin in ("alpha", "beta")]
    strings = tuple(
        np.ascontiguousarray(problem[spin][order], np.int64)
        for spin, order in zip(("alpha", "beta"), orders, strict=True)
    )
    return function(
        [strings],
        np.array(problem["one_body"]),
        np.asarray(ao2mo.restore(1, np.array(problem["two_body"]), norb)),
        norb,
        (int(problem["electrons"][0]), int(problem["electrons"][1])),
        **json.loads(str(problem["options"])),
    )


def find_function(name: str) -> Callable[..., Any]:
    """The function that a name leads to: `package.module:function`, `.function`, or `file.py:function`.

    Raises:
        FunctionNotFound: it leads to none.
    """
    place, _, attribute = name.rpartition(":") if ":" in name else name.rpartition(".")
    try:
        if place.endswith(".py"):
            found: Any = load_file(Path(place).expanduser().resolve())
        else:
            found = importlib.import_module(place)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError, OSError) as error:
        raise FunctionNotFound(f"{name!r} leads to no function ({error})") from error
    if not callable(found):
        raise FunctionNotFound(f"{name!r} is {type(found).__name__}, no function")
    return found  # type: ignore[no-any-return]


def require_function(name: str, options: Mapping[str, Any]) -> None:
    """Refuses a name that leads to no function of this kind, as far as its signature says.

    Raises:
        FunctionNotFound: it leads to none, or to one that cannot be called so.
    """
    function = find_function(name)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of compiled code, which says nothing of it
        return
    try:
        signature.bind([], None, None, 1, (1, 1), **options)
    except TypeError as error:
        raise FunctionNotFound(
            f"{name!r} cannot be called as function([(alpha, beta)], one_body, two_body, norb, "
            f"nelec, **options) ({error})"
        ) from error


def _the_one(found: Any) -> Any:
    """The result for the one subspace that the function was given."""
    results = list(found) if isinstance(found, list | tuple) else [found]
    if len(results) != 1 or not hasattr(results[0], "energy"):
        raise NoSuchState(
            f"a solver of qiskit-addon-sqd returns a list with an SCIResult for each subspace, "
            f"here one; not {found!r:.200}"
        )
    return results[0]


def _described(problem: Arrays, result: Any) -> dict[str, npt.NDArray[Any]]:
    energy = float(result.energy)
    if not np.isfinite(energy):
        raise NoSuchState(f"the function gave the energy {energy}")
    common = {
        "energy": np.asarray(energy),
        "occupancies": np.array([np.asarray(spin, float) for spin in result.orbital_occupancies]),
    }
    if result.sci_state is None:
        return common | _ranked(problem, result)
    return common | _measured(problem, energy, _amplitudes(problem, result.sci_state))


def _ranked(problem: Arrays, result: Any) -> dict[str, npt.NDArray[Any]]:
    """What is known without amplitudes."""
    if result.carryover is None:
        raise NoSuchState(
            "the function gave neither a state nor strings to carry over: without one of them "
            "nothing can be carried on"
        )
    unknown = {"residual": np.asarray(np.nan), "converged": np.asarray(True)}
    for spin, chosen in zip(("alpha", "beta"), result.carryover, strict=True):
        where = {int(string): i for i, string in enumerate(chosen)}
        ranks = [where.get(int(string), len(where)) for string in problem[spin]]
        unknown[f"{spin}_rank"] = np.array(ranks, np.int64)
        unknown[f"{spin}_weights"] = np.full(len(ranks), np.nan)
    return unknown


def _amplitudes(problem: Arrays, state: Any) -> npt.NDArray[np.float64]:
    """(beta strings, alpha strings), in the order of the problem; what is not in the state is 0."""
    given = np.asarray(state.amplitudes, np.float64)
    places = []
    for spin, strings in zip(("alpha", "beta"), (state.ci_strs_a, state.ci_strs_b), strict=True):
        where = {int(string): i for i, string in enumerate(problem[spin])}
        try:
            places.append([where[int(string)] for string in strings])
        except KeyError as error:
            raise NoSuchState(
                f"the function's state has the {spin} string {error}, which is not in the "
                "subspace that it was given"
            ) from error
    amplitudes = np.zeros((len(problem["beta"]), len(problem["alpha"])))
    amplitudes[np.ix_(places[1], places[0])] = given.T
    norm = np.linalg.norm(amplitudes)
    if not 0 < norm < np.inf:
        raise NoSuchState(f"the function's amplitudes have the norm {norm}")
    return amplitudes / norm


def _measured(
    problem: Arrays, energy: float, amplitudes: npt.NDArray[np.float64]
) -> dict[str, npt.NDArray[Any]]:
    """Weights, and by our own operators residual and S^2."""
    from qcsc_algorithms.sqd.solvers.measured_state import measured
    from qcsc_algorithms.sqd.solvers.product_space import Integrals

    norb = len(problem["one_body"])
    return measured(
        Integrals(np.asarray(problem["one_body"], float), np.asarray(problem["two_body"], float)),
        (int(problem["electrons"][0]), int(problem["electrons"][1])),
        (from_integers(problem["alpha"], norb), from_integers(problem["beta"], norb)),
        energy,
        amplitudes,
        float(problem["tolerance"]),
    )


def main() -> None:
    """Runs one rank; the first one writes the result."""
    if ranks_asked_for() == 1 or world().rank == 0:
        run_as_program(lowest_state)
        return
    with np.load(sys.argv[1], allow_pickle=False) as problem:
        call_function(dict(problem))


if __name__ == "__main__":
    main()
