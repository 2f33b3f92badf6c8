"""How a run goes on: as its last driver did, unless it is told otherwise."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from qcsc_loop.cli.driving import Driving
from qcsc_loop.errors import DamagedDocument
from qcsc_loop.prefect.driver_facts import SETTINGS, Granularity
from qcsc_loop.store.journal import Journal

WAY = "driven"  # in the provenance of a driver


class Way(BaseModel):
    """How a run is driven; each driver's provenance keeps its own.

    Attributes:
        prefect: whether in a Prefect flow.
        tasks: what becomes a Prefect task there.
    """

    model_config = ConfigDict(frozen=True)

    prefect: bool = True
    tasks: Granularity = "step"

    def facts(self) -> dict[str, object]:
        """As provenance keeps it."""
        return {WAY: self.model_dump(mode="json")}


def choose_way(driving: Driving, journal: Journal) -> Way:
    """What was asked for; else as the run was driven last; of a new run the defaults."""
    asked = {"prefect": driving.prefect, "tasks": driving.tasks}
    told = {name: value for name, value in asked.items() if value is not None}
    return (Way() if len(told) == len(asked) else _last_way(journal)).model_copy(update=told)


def _last_way(journal: Journal) -> Way:
    """That of the newest driver that says; others are Python's, or from before ways were kept."""
    for epoch in range(journal.newest_epoch(), 0, -1):
        try:
            provenance = journal.epoch(epoch).provenance
            known = provenance.get(WAY) or provenance.get(SETTINGS)  # those of a deployed run
            if known:
                return Way.model_validate(known)
        except (DamagedDocument, KeyError, ValidationError):
            continue
    return Way()
