"""How parameters move downhill: where to measure, and the step that follows."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
)

Floats = npt.NDArray[np.float64]


class SPSA(BaseModel, frozen=True, extra="forbid"):
    """Simultaneous perturbation: two energies a step, whatever the number of parameters.

    The gradient's estimate is (E(x + c_k d) - E(x - c_k d)) / (2 c_k d) with random signs d, the
    step -a_k times it, with a_k = a / (A + k)^alpha, c_k = c / k^gamma and k from 1. Spall, IEEE
    Trans. Automat. Contr. 37, 332 (1992); how to choose the gains: Spall, IEEE Trans. Aerosp.
    Electron. Syst. 34, 817 (1998).

    Attributes:
        a: in radians squared per unit of energy; smaller for a Hamiltonian of larger coefficients.
        c: in radians; larger for noisier energies.
        stability: A, about a tenth of the iterations that are planned.
        measure_current: a third energy, at x itself; else the mean of the two stands for it.
    """

    type: Literal["spsa"] = "spsa"
    a: float = Field(default=6.0, gt=0)
    c: float = Field(default=0.1, gt=0)
    stability: float = Field(default=10.0, ge=0)
    alpha: float = Field(default=0.602, ge=0, le=1)
    gamma: float = Field(default=0.101, ge=0, le=1)
    measure_current: bool = True

    def points(self, parameters: Floats, signs: Floats, k: int) -> Floats:
        shift = self.c / k**self.gamma * signs
        shifts = [shift, -shift, 0 * shift] if self.measure_current else [shift, -shift]
        return np.asarray(parameters + shifts)

    def gradient(self, energies: Floats, signs: Floats, k: int) -> Floats:
        return np.asarray((energies[0] - energies[1]) / (2 * self.c / k**self.gamma * signs))

    def moved(
        self, parameters: Floats, gradient: Floats, moments: Floats, k: int
    ) -> tuple[Floats, Floats]:
        return parameters - self.a / (self.stability + k) ** self.alpha * gradient, moments


class Adam(BaseModel, frozen=True, extra="forbid"):
    """Adam on the gradient itself: two energies for each parameter, and one at x.

    The gradient is (E(x + pi/2 e_i) - E(x - pi/2 e_i)) / 2, the parameter-shift rule, where each
    parameter turns one Pauli rotation: Schuld et al., Phys. Rev. A 99, 032331 (2019). The step is
    algorithm 1 of Kingma and Ba, arXiv:1412.6980, with its constants.

    Attributes:
        rate: of a step, in radians.
    """

    type: Literal["adam"] = "adam"
    rate: float = Field(default=0.1, gt=0)

    def points(self, parameters: Floats, signs: Floats, k: int) -> Floats:
        pairs = np.kron(np.eye(len(parameters)), [[np.pi / 2], [-np.pi / 2]])
        return parameters + np.vstack([pairs, np.zeros_like(parameters)])

    def gradient(self, energies: Floats, signs: Floats, k: int) -> Floats:
        return np.asarray((energies[:-1:2] - energies[1::2]) / 2)

    def moved(
        self, parameters: Floats, gradient: Floats, moments: Floats, k: int
    ) -> tuple[Floats, Floats]:
        betas = np.array([[0.9], [0.999]])
        moments = betas * moments + (1 - betas) * np.stack([gradient, gradient**2])
        mean, square = moments / (1 - betas**k)
        return parameters - self.rate * mean / (np.sqrt(square) + 1e-8), moments


class AdamOfExcitations(Adam, frozen=True, extra="forbid"):
    """Adam where each parameter turns one excitation, whose generator has the eigenvalues 0, 1, -1.

    An energy is then a sum of sines and cosines of the parameter and of its double, and the gradient
    follows from four energies: with f(s) = (E(x + s e_i) - E(x - s e_i)) / 2 it is
    2 f(pi/4) + (1 - sqrt(2)) f(pi/2). That is a rule of Wierichs et al., Quantum 6, 677 (2022).
    """

    def points(self, parameters: Floats, signs: Floats, k: int) -> Floats:
        shifts = np.pi * np.array([[0.25], [-0.25], [0.5], [-0.5]])
        fours = np.kron(np.eye(len(parameters)), shifts)
        return parameters + np.vstack([fours, np.zeros_like(parameters)])

    def gradient(self, energies: Floats, signs: Floats, k: int) -> Floats:
        near, far = ((energies[i:-1:4] - energies[i + 1 : -1 : 4]) / 2 for i in (0, 2))
        return np.asarray(2 * near + (1 - np.sqrt(2)) * far)


def _by_name(value: object) -> object:
    return {"type": value} if isinstance(value, str) else value


Optimizer = Annotated[
    Annotated[SPSA | Adam, Field(discriminator="type")], BeforeValidator(_by_name)
]
"""Where to measure, the gradient that follows, and the step: pure functions, `k` counts from 1.

Points come in pairs; a last one without a partner is the parameters themselves.
"""
