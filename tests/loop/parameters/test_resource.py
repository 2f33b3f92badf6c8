"""Settings of one kind, told apart by `type`, open to third parties."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal

import pytest
from pydantic import BaseModel, SerializeAsAny, TypeAdapter, ValidationError
from qiskit import QuantumCircuit

from qcsc_loop.parameters.resource import BlockName, Resource, concrete
from qcsc_loop.sampling.aer.sampler import AerSampler
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.sampling.samples import Samples


class Engine(Resource, ABC):
    @abstractmethod
    def power(self) -> float: ...


class Diesel(Engine):
    type: Literal["diesel"] = "diesel"
    litres: float = 2.0

    def power(self) -> float:
        return 50 * self.litres


class Electric(Engine, ABC):
    volts: float = 400.0


class Induction(Electric):
    type: Literal["induction"] = "induction"
    poles: int = 4

    def power(self) -> float:
        return self.volts / self.poles


class Boat(BaseModel):
    engine: SerializeAsAny[Engine] | BlockName = Diesel()


ENGINE: TypeAdapter[Engine] = TypeAdapter(SerializeAsAny[Engine])


@pytest.mark.parametrize("engine", [Diesel(litres=3), Induction(volts=230, poles=6)])
def test_a_resource_comes_back_from_json_as_what_it_was(engine: Engine) -> None:
    assert ENGINE.validate_json(ENGINE.dump_json(engine)) == engine


def test_the_type_chooses_the_class() -> None:
    assert ENGINE.validate_python({"type": "induction", "poles": 2}) == Induction(poles=2)


def test_a_resource_itself_is_taken_as_it_is() -> None:
    engine = Diesel()

    assert ENGINE.validate_python(engine) is engine


@pytest.mark.parametrize("settings", [{"type": "steam"}, {}, {"type": None}, {"type": []}], ids=str)
def test_an_unknown_type_is_answered_with_the_known_ones(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="type must be one of diesel, induction"):
        ENGINE.validate_python(settings)


def test_abstract_kinds_are_not_among_the_known_ones() -> None:
    assert list(concrete(Engine)) == [Diesel, Induction]


def test_below_an_abstract_kind_only_its_own_are_known() -> None:
    with pytest.raises(ValidationError, match="type must be one of induction"):
        TypeAdapter(Electric).validate_python({"type": "diesel"})


def test_a_concrete_class_takes_its_own_settings_without_the_type() -> None:
    assert Diesel.model_validate({"litres": 3}) == Diesel(litres=3)


def test_a_concrete_class_refuses_another_type() -> None:
    with pytest.raises(ValidationError, match="diesel"):
        Diesel.model_validate({"type": "induction"})


def test_a_wrong_setting_is_named() -> None:
    with pytest.raises(ValidationError, match="litre\n"):
        ENGINE.validate_python({"type": "diesel", "litre": 3})


def test_a_resource_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Diesel().litres = 3  # type: ignore[misc]  # what is refused


def test_equal_resources_have_equal_hashes() -> None:
    assert hash(Diesel(litres=3)) == hash(Diesel(litres=3))


def test_a_kind_joins_by_being_defined() -> None:
    class Vehicle(Resource, ABC):
        @abstractmethod
        def move(self) -> None: ...

    class Cart(Vehicle):
        type: Literal["cart"] = "cart"

        def move(self) -> None: ...

    vehicle: TypeAdapter[Vehicle] = TypeAdapter(Vehicle)

    assert vehicle.validate_python({"type": "cart"}) == Cart()


def test_a_class_that_forgot_its_type_does_not_spoil_the_answer_for_the_others() -> None:
    class Tool(Resource, ABC):
        @abstractmethod
        def use(self) -> None: ...

    class Hammer(Tool):
        type: Literal["hammer"] = "hammer"

        def use(self) -> None: ...

    class Saw(Tool):
        def use(self) -> None: ...

    with pytest.raises(ValidationError, match="type must be one of hammer"):
        TypeAdapter(Tool).validate_python({"type": "plane"})


def test_a_form_offers_every_concrete_class() -> None:
    schema = str(ENGINE.json_schema())

    assert "'diesel'" in schema
    assert "'induction'" in schema


def test_a_form_of_a_field_offers_settings_or_a_name() -> None:
    schema = str(Boat.model_json_schema())

    assert "'diesel'" in schema
    assert "'pattern'" in schema


@pytest.mark.parametrize("name", ["engine/mine", "aer-sampler/h2o-2", "0/1"])
def test_a_block_is_named_by_type_and_name(name: str) -> None:
    assert Boat.model_validate({"engine": name}).engine == name


@pytest.mark.parametrize(
    "name", ["mine", "engine/", "/mine", "Engine/mine", "a/b/c", "a/b\n", "a b/c"]
)
def test_another_form_of_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Boat.model_validate({"engine": name})


class Fixed(Sampler):
    """A sampler that another distribution could bring."""

    type: Literal["test-fixed"] = "test-fixed"

    async def sample(self, circuit: QuantumCircuit, *, shots: int) -> Samples:
        return Samples(bits={}, num_bits={}, shots=shots)


def test_a_third_partys_sampler_joins_those_that_are_shipped() -> None:
    sampler: TypeAdapter[Sampler] = TypeAdapter(Sampler)

    assert sampler.validate_python({"type": "test-fixed"}) == Fixed()
    assert sampler.validate_python({"type": "aer", "threads": 2}) == AerSampler(threads=2)
