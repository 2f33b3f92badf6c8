"""Optimisers with ask and tell, whose state is data: what a loop keeps in its own state."""

from __future__ import annotations

from qcsc_loop.faces import lazy_face

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qcsc_loop.optimizers.adam import Adam
    from qcsc_loop.optimizers.cma_es import CMAES
    from qcsc_loop.optimizers.differential_evolution import DifferentialEvolution
    from qcsc_loop.optimizers.nelder_mead import NelderMead
    from qcsc_loop.optimizers.optimizer import Box, Move, Optimizer, OptimizerState
    from qcsc_loop.optimizers.spsa import SPSA
    from qcsc_loop.optimizers.trust_region import TrustRegion

__all__ = [
    "CMAES",
    "SPSA",
    "Adam",
    "Box",
    "DifferentialEvolution",
    "Move",
    "NelderMead",
    "Optimizer",
    "OptimizerState",
    "TrustRegion",
]

__getattr__, __dir__ = lazy_face(
    __name__,
    {
        "Adam": "adam",
        "Box": "optimizer",
        "CMAES": "cma_es",
        "DifferentialEvolution": "differential_evolution",
        "Move": "optimizer",
        "NelderMead": "nelder_mead",
        "Optimizer": "optimizer",
        "OptimizerState": "optimizer",
        "SPSA": "spsa",
        "TrustRegion": "trust_region",
    },
)
