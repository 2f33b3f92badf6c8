"""Diagonalisation in a subspace: what it is given, what it says, and who does it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian, lowest_spin_square
from qcsc_algorithms.sqd.determinants.subspace import Subspace
from qcsc_algorithms.sqd.solvers.requirements import (
    require_hamiltonian,
    require_spin_square,
    require_subspace,
)
from qcsc_hpc.machine import Machine
from qcsc_loop.errors import JobRefused
from qcsc_loop.parameters.resource import Resource
from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.record import Record


class Solution(Record):
    """The lowest eigenstate that was found.

    Attributes:
        energy: in hartree, with the Hamiltonian's constant.
        occupancies: float64 (2, norb), average occupancies of alpha and beta orbitals.
        alpha, beta: strings of the subspace, those of largest weight in the state first.
        alpha_weights, beta_weights: float64 (strings,), the state's probability on each of them; NaN
            where a solver does not tell.
        residual: the norm of H|c> - E|c> for the normalised state, in hartree; NaN where a solver
            does not tell.
        converged: whether the solver reached its own tolerance.
        spin_square: expectation value of S^2; NaN where a solver does not tell.
        levels: float64 (roots, 2), energy and S^2 of each state, where more than one is asked for;
            occupancies and weights are then those of all states' mean. Empty where it is one.
        density: float64 (2, norb, norb), <a+(p) a(q)> of each spin's electrons in the lowest state;
            empty where a solver does not tell.
        variance: <H^2> - <H>^2 of the lowest state in hartree^2, what is outside of the subspace
            included; NaN unless it was asked for.
    """

    energy: float
    occupancies: NDArray
    alpha: NDArray
    beta: NDArray
    alpha_weights: NDArray
    beta_weights: NDArray
    residual: float = float("nan")
    converged: bool = True
    spin_square: float = float("nan")
    levels: NDArray = np.empty((0, 2))
    density: NDArray = np.empty((2, 0, 0))
    variance: float = float("nan")


class Solver(Resource, ABC):
    """Settings of an eigensolver."""

    def asked_spin_square(self, electrons: tuple[int, int]) -> float:
        """S^2 of the state that is asked for; NaN for any. The lowest there is, unless told."""
        return lowest_spin_square(electrons)

    async def require(self, hamiltonian: Hamiltonian, machine: Machine) -> None:
        """Refuses what cannot be done, before anything is sampled, which may cost.

        Raises:
            JobRefused: it cannot.
        """
        del machine
        self.require_orbitals(hamiltonian)

    def require_orbitals(self, hamiltonian: Hamiltonian) -> None:
        """Refuses orbitals that it cannot diagonalise in: unless it says otherwise, of each spin.

        Raises:
            JobRefused: it cannot.
        """
        if hamiltonian.beta is not None:
            why = (
                "it diagonalises over orbitals common to both spins, and these are unrestricted: "
                "alpha and beta orbitals differ; take native or pyscf, or restricted orbitals"
            )
            raise JobRefused(self.type, "solver", why)

    def require_spin(self, hamiltonian: Hamiltonian) -> None:
        """Refuses to look for a spin that these electrons cannot have.

        Raises:
            JobRefused: they cannot.
        """
        electrons = hamiltonian.electrons
        try:
            require_spin_square(self.asked_spin_square(electrons), electrons, hamiltonian.norb)
        except ValueError as error:
            raise JobRefused(self.type, "solver.spin_square", str(error)) from error

    def require_problem(self, hamiltonian: Hamiltonian, subspace: Subspace) -> None:
        """Refuses what has no states, or none that it can find, before anything is done.

        Raises:
            JobRefused: integrals or strings are malformed, or it takes no such orbitals.
        """
        try:
            require_hamiltonian(hamiltonian)
        except ValueError as error:
            raise JobRefused(self.type, "hamiltonian", str(error)) from error
        try:
            require_subspace(hamiltonian, subspace)
        except ValueError as error:
            raise JobRefused(self.type, "subspace", str(error)) from error
        self.require_orbitals(hamiltonian)

    @abstractmethod
    async def solve(
        self, hamiltonian: Hamiltonian, subspace: Subspace, machine: Machine
    ) -> Solution:
        """The lowest state in the subspace.

        Belongs to the current step, as a job does: called again after a crash it gives the same.

        Args:
            machine: where its job runs, if it is one.

        Raises:
            JobRefused: the solver or the machine cannot do it so; nothing was started.
            JobFailed: it ended without a result.
        """

    async def solve_with_pairs(
        self, hamiltonian: Hamiltonian, subspace: Subspace, machine: Machine
    ) -> tuple[Solution, npt.NDArray[np.float64]]:
        """As `solve`, and the lowest state's density matrix of two electrons.

        Returns:
            <a+(p) a+(r) a(s) a(q)>, summed over spins, float64 (norb,) * 4 in the order p, q, r, s.

        Raises:
            JobRefused: this solver does not tell it.
        """
        why = "it does not tell the density matrix of two electrons that orbitals are optimised by"
        raise JobRefused(self.type, "solver", f"{why}; take native")

    async def solve_with_variance(
        self, hamiltonian: Hamiltonian, subspace: Subspace, machine: Machine
    ) -> Solution:
        """As `solve`, and the variance of the lowest state's energy.

        Raises:
            JobRefused: this solver does not tell it, or the subspace has too many strings for it.
        """
        why = "it does not tell the variance that energies are extrapolated by"
        raise JobRefused(self.type, "solver", f"{why}; take native")


def by_weight(
    strings: NDArray, weights: NDArray, rank: NDArray | None = None
) -> tuple[NDArray, NDArray]:
    """Strings and weights, the heaviest first; equal ones in ascending order of the strings.

    Args:
        rank: which are first, instead of the weights.
    """
    first = -weights if rank is None else rank
    order = np.lexsort((*(strings[:, i] for i in range(strings.shape[1] - 1, -1, -1)), first))
    return strings[order], weights[order]


def solution_of(
    subspace: Subspace, found: Mapping[str, npt.NDArray[Any]], energy: float
) -> Solution:
    """What a program has found, as arrays by name; its weights are in the order of the subspace,
    and so is `alpha_rank`, where there is one: how early a string is to be carried over.

    Args:
        energy: with the Hamiltonian's constant.
    """
    alpha, alpha_weights = by_weight(
        subspace.alpha, found["alpha_weights"], found.get("alpha_rank")
    )
    beta, beta_weights = by_weight(subspace.beta, found["beta_weights"], found.get("beta_rank"))
    return Solution(
        energy=energy,
        occupancies=found["occupancies"],
        alpha=alpha,
        beta=beta,
        alpha_weights=alpha_weights,
        beta_weights=beta_weights,
        residual=float(found["residual"]),
        converged=bool(found["converged"]),
        spin_square=float(found.get("spin_square", np.nan)),
        levels=_levels(found, energy),
        density=found.get("density", np.empty((2, 0, 0))),
        variance=float(found.get("variance", np.nan)),
    )


def _levels(found: Mapping[str, npt.NDArray[Any]], energy: float) -> npt.NDArray[Any]:
    """Each state's energy, with the constant that the lowest one's has, and S^2."""
    levels = np.array(found.get("levels", np.empty((0, 2))))
    if len(levels) < 2:
        return np.empty((0, 2))
    levels[:, 0] += energy - levels[0, 0]
    return levels
