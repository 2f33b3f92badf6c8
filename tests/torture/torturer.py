"""What lives through points, wherever they are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Lock

from system.server import PrefectServer
from torture.faults import FAULTS
from torture.nursery import Nursery
from torture.point import Ground, Point
from torture.sites import Sites
from torture.trial import Place, Result, Trial

WITH_PREFECT = ("prefect", "qcsc_loop.prefect.flow", "qcsc_loop.prefect.restore")


class Torturer:
    """Lives through points, wherever they are."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._places = folder, dict[Ground, Place]()
        self._all = ExitStack()
        self._server: PrefectServer | None = None
        self._sites = self._all.enter_context(Sites(folder / "sites"))
        self._number, self._lock = 0, Lock()

    def __enter__(self) -> Torturer:
        return self

    def __exit__(self, *_: object) -> None:
        self._all.close()

    def place(self, ground: Ground) -> Place:
        """Where the runs of a ground are; what they need is started for the first of them."""
        with self._lock:  # whoever wants to know its boundaries may be in another thread
            place = self._started(ground)
            assert place.unhurt
            return place

    def _started(self, ground: Ground) -> Place:
        if ground not in self._places:
            site, folder = self._sites.of(ground.stack), self._folder / str(ground)
            folder.mkdir(parents=True)
            server = self._server_here() if ground.store == "artifacts" else None
            modules = [*site.modules, *(WITH_PREFECT if server else ())]
            nursery = Nursery(folder, modules, **(server.settings if server else {}))
            self._all.callback(nursery.end)
            self._places[ground] = Place(ground, site, nursery, folder, server)
        return self._places[ground]

    def _server_here(self) -> PrefectServer:
        if self._server is None:
            home = self._folder / "server"
            home.mkdir()
            self._server = PrefectServer(home)
            self._all.callback(self._server.stop)
            self._server.start()
        return self._server

    def boundaries(self, ground: Ground) -> Sequence[str]:
        return self.place(ground).boundaries

    def result(self, point: Point) -> Result:
        """What becomes of a point. What is left of one that went wrong stays, for whoever looks."""
        place = self.place(point.ground)
        self._number += 1
        trial = Trial(place, point, place.folder / f"t{self._number}-{os.getpid()}")
        return trial.result(FAULTS[point.fault].play)
