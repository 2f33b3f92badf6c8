"""Which old states are kept for good: where a person may want to fork from."""

from __future__ import annotations

from collections.abc import Container

from qcsc_loop.values.document import Document

LARGE_BYTES = 100_000_000  # a dozen of larger states would be what fills a disk


def is_landmark(iteration: int) -> bool:
    """0, 1, 2, 4, 8, 16, ...: a dozen of thousands, and close together where a run changes most."""
    return iteration & (iteration - 1) == 0


class Landmarks(Container[int]):
    """The iterations of a run whose state is kept however old it is.

    Of states that are large it is the best one's alone.
    """

    def __init__(self, best: int | None = None, *, large: bool = False) -> None:
        self._best, self._large = best, large

    def __contains__(self, iteration: object) -> bool:
        if iteration == self._best:
            return True
        return isinstance(iteration, int) and not self._large and is_landmark(iteration)


def is_large(state: Document) -> bool:
    """Whether a state takes much of a disk."""
    return state.nbytes > LARGE_BYTES
