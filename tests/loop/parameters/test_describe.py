"""Parameters in words, from the models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from qcsc_loop.parameters.describe import Parameter, describe, kinds, types_of
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.parameters.resource import BlockName
from qcsc_loop.rules.stop import Shots, StopRule
from qcsc_loop.sampling.aer.sampler import AerSampler
from qcsc_loop.sampling.sampler import Sampler


class Inner(BaseModel):
    """Attributes:
    depth, width: how deep,
        and how wide.
    """

    depth: int = 2
    width: float = Field(default=1.5, gt=0, lt=3)


class Outer(BaseModel):
    """What it is
    for.

    Attributes:
        plain: said in the docstring.
        inner: settings
            of its own.

    Not an attribute: this.
    """

    plain: int | None = None
    given: str = Field(min_length=1, description="said at the field")
    shape: Literal["round", "square"] = "round"
    many: tuple[int, ...] = ()
    inner: Annotated[Inner, OPERATIONAL] = Inner()
    sampler: Sampler | BlockName = AerSampler(method="stabilizer")


def parameter(name: str) -> Parameter:
    return next(found for found in describe(Outer).parameters if found.name == name)


def test_its_summary_is_the_first_paragraph() -> None:
    assert describe(Outer).what == "What it is for."


def test_a_parameter_has_its_type_and_default_in_words() -> None:
    assert parameter("plain") == Parameter(
        "plain", "int | null", "null", "", "said in the docstring.", False
    )
    assert (parameter("shape").type, parameter("shape").default) == ("round | square", '"round"')
    assert parameter("many").type == "list of int"


def test_one_that_has_to_be_given_has_no_default() -> None:
    assert parameter("given").default is None
    assert (parameter("given").limits, parameter("given").what) == (
        "not empty",
        "said at the field",
    )


def test_nested_settings_follow_with_dotted_names_and_are_operational_with_what_they_are_in() -> (
    None
):
    names = [found.name for found in describe(Outer).parameters]
    assert names[4:7] == ["inner", "inner.depth", "inner.width"]
    assert parameter("inner").operational and parameter("inner.width").operational
    assert parameter("inner.width").limits == "above 0, below 3"


def test_a_setting_of_several_types_names_them_and_shows_its_defaults_own() -> None:
    assert {"aer", "random", "replay"} < set(describe(Outer).types["sampler"])
    assert parameter("sampler").default == "aer"
    assert parameter("sampler.method").default == '"stabilizer"'


def test_every_kind_of_setting_has_its_types() -> None:
    assert kinds()["stop-rule"] is StopRule
    assert types_of(kinds()["stop-rule"])["shots"] is Shots
    assert [found.name for found in describe(Shots).parameters] == ["limit"]


def test_all_that_is_installed_can_be_described() -> None:
    for kind in kinds().values():
        for model in types_of(kind).values():
            assert describe(model).name == model.__name__
