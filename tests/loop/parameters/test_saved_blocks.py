"""Names of saved blocks: which fields they are looked for in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Literal

import anyio
import pytest
from pydantic import BaseModel, SerializeAsAny

from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.parameters.resource import BlockName, Resource
from qcsc_loop.parameters.saved_blocks import named_blocks, resolve_blocks


class Lamp(Resource, ABC):
    @abstractmethod
    def lumens(self) -> float: ...


class Bulb(Lamp):
    type: Literal["bulb"] = "bulb"

    def lumens(self) -> float:
        return 800


class Room(BaseModel):
    lamp: SerializeAsAny[Lamp] | BlockName = Bulb()
    spare: Annotated[SerializeAsAny[Lamp] | BlockName | None, OPERATIONAL] = None
    address: str = "street/number"


@pytest.mark.parametrize("room", [Room(), Room(spare=Bulb())], ids=["default", "given"])
def test_settings_need_no_resolving(room: Room) -> None:
    assert anyio.run(resolve_blocks, room) is room


def test_names_are_found_where_settings_could_stand() -> None:
    room = Room(lamp="lamp/desk", spare="lamp/attic")

    assert named_blocks(room) == {"lamp": "lamp/desk", "spare": "lamp/attic"}


def test_a_text_that_looks_like_a_name_is_left_alone() -> None:
    assert named_blocks(Room(address="lamp/desk")) == {}
