"""Two drivers that stand still and wake wherever it hurts: no iteration is committed in two ways."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from models.protocol import World, worlds
from models.stepped import HOLDER_OF_A_CLAIM, SteppedDriver, counting, created, elsewhere, ended

pytestmark = pytest.mark.guarantee("G19")

BOUNDS = [(2, 2), (3, 1), pytest.param(3, 2, marks=pytest.mark.thorough)]


@pytest.mark.parametrize(("epochs", "iterations"), BOUNDS)
def test_no_world_that_can_come_about_has_an_iteration_in_two_ways(
    epochs: int, iterations: int
) -> None:
    for world in worlds(epochs=epochs, iterations=iterations):
        assert world.is_one_run, world


class TwoDrivers(RuleBasedStateMachine):
    """The model, and the real journal on a real disk, in the same steps."""

    def __init__(self) -> None:
        super().__init__()
        self._patch, self._folder = pytest.MonkeyPatch(), tempfile.TemporaryDirectory()
        self._patch.setattr(*HOLDER_OF_A_CLAIM, elsewhere)
        root = Path(self._folder.name, "store")
        self._journal = created(root)
        self._world, self._drivers = World(), [SteppedDriver(root) for _ in range(2)]

    @rule(number=st.integers(0, 1), steps=st.integers(1, 8))
    def a_driver_goes_on(self, number: int, steps: int) -> None:
        for _ in range(steps):
            self._world = self._world.step(number)
            self._drivers[number].step()
            self.both_are_where_the_model_has_them()

    @rule(number=st.integers(0, 1))
    def a_driver_dies(self, number: int) -> None:
        self._world = self._world.without(number)
        self._drivers[number].die()

    @invariant()
    def both_are_where_the_model_has_them(self) -> None:
        phases = [driver.phase for driver in self._drivers]
        assert phases == [driver.phase for driver in self._world.drivers]

    @invariant()
    def the_disk_has_what_the_model_has(self) -> None:
        assert counting(self._journal) == self._world.counting

    @invariant()
    def it_is_one_run(self) -> None:
        assert self._world.is_one_run

    def teardown(self) -> None:
        ended(self._drivers)
        self._patch.undo()
        self._folder.cleanup()


TestTwoDrivers = TwoDrivers.TestCase
TestTwoDrivers.settings = settings(stateful_step_count=15)
