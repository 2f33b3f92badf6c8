"""An algorithm's parameters: read, refused in one sentence, compared between runs."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, field_validator, model_validator
from qiskit import QuantumCircuit

from qcsc_loop.algorithm import IterativeAlgorithm
from qcsc_loop.errors import InvalidParameters
from qcsc_loop.parameters.build import build, parse_settings
from qcsc_loop.parameters.compare import find_differences, to_plain
from qcsc_loop.parameters.operational import OPERATIONAL
from qcsc_loop.parameters.resource import BlockName
from qcsc_loop.sampling.aer.sampler import AerSampler
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.sampling.samples import Samples
from qcsc_loop.values.record import State


class Coins(Sampler):
    """A sampler that another distribution could bring."""

    type: Literal["test-coins"] = "test-coins"
    bias: float = Field(default=0.5, ge=0, le=1)

    async def sample(self, circuit: QuantumCircuit, *, shots: int) -> Samples:
        return Samples(bits={}, num_bits={}, shots=shots)


class Energy(State):
    energy: float = 0.0


class Subspace(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    smallest: int = 4
    largest: int = 20


class Solver(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = "davidson"
    tolerance: float = 1e-8
    subspace: Subspace = Subspace(smallest=6)


class Hubbard(IterativeAlgorithm[Energy, float, float]):
    shots: int = Field(default=100, ge=1)
    U: float = 4.0
    mode: Literal["exact", "sampled"] = "exact"
    label: str = "run"
    shape: tuple[int, int] = (2, 2)
    start: float | str = 0.0
    walltime: float = 60.0
    ranks: Annotated[int, OPERATIONAL] = Field(default=2, ge=1)
    sampler: SerializeAsAny[Sampler] | BlockName = AerSampler()
    helper: Annotated[SerializeAsAny[Sampler] | BlockName, OPERATIONAL] = AerSampler()
    solver: Solver = Solver()

    @field_validator("label")
    @classmethod
    def _short(cls, label: str) -> str:
        if len(label) > 9:
            raise ValueError("the label\nis too long")
        return label

    @model_validator(mode="after")
    def _enough(self) -> Hubbard:
        if self.mode == "sampled" and self.shots < 10:
            raise ValueError("sampling needs 10 shots")
        return self

    async def initialize(self) -> Energy:
        return Energy()

    async def sample(self, state: Energy) -> float:
        return 0.0

    async def evaluate(self, state: Energy, samples: float) -> float:
        return 0.0

    async def update(self, state: Energy, evaluation: float) -> Energy:
        return Energy()


def refusal(given: dict[str, Any], algorithm: type[BaseModel] = Hubbard) -> InvalidParameters:
    with pytest.raises(InvalidParameters) as caught:
        build(algorithm, given)
    return caught.value


# words from the command line


@pytest.mark.parametrize(
    ("word", "parameters"),
    [
        ("shots=12", {"shots": 12}),
        ("tolerance=1e-3", {"tolerance": 0.001}),
        ("exact=true", {"exact": True}),
        ("start=null", {"start": None}),
        ("shape=[2, 3]", {"shape": [2, 3]}),
        ('sampler={"type": "aer"}', {"sampler": {"type": "aer"}}),
        ('label="12"', {"label": "12"}),
        ("label=h2o", {"label": "h2o"}),
        ("label=", {"label": ""}),
        ("label=007", {"label": "007"}),
        ("label=a=b", {"label": "a=b"}),
        ("label=two words", {"label": "two words"}),
        ("sampler=aer/mine", {"sampler": "aer/mine"}),
        ("sampler.method=stabilizer", {"sampler": {"method": "stabilizer"}}),
        ("a.b.c=1", {"a": {"b": {"c": 1}}}),
        (" shots =12", {"shots": 12}),
    ],
)
def test_a_word_is_read_as_name_and_value(word: str, parameters: dict[str, Any]) -> None:
    assert parse_settings([word]) == parameters


def test_not_a_number_is_read_as_a_number() -> None:
    assert math.isnan(parse_settings(["tolerance=NaN"])["tolerance"])


def test_no_words_are_no_parameters() -> None:
    assert parse_settings([]) == {}


def test_dotted_names_of_one_setting_are_put_together() -> None:
    words = ["sampler.method=stabilizer", "shots=5", "sampler.threads=2"]

    assert parse_settings(words) == {"sampler": {"method": "stabilizer", "threads": 2}, "shots": 5}


def test_a_dotted_name_adds_to_a_setting_given_as_json() -> None:
    words = ['sampler={"type": "aer"}', "sampler.threads=2"]

    assert parse_settings(words) == {"sampler": {"type": "aer", "threads": 2}}


def test_of_two_values_the_last_one_counts() -> None:
    assert parse_settings(["shots=1", "shots=2"]) == {"shots": 2}


@pytest.mark.parametrize("word", ["shots", "", "=1", ".=1", "a.=1", ".a=1", "a..b=1"])
def test_a_word_of_another_form_is_refused(word: str) -> None:
    with pytest.raises(InvalidParameters, match="is not of the form name=value") as caught:
        parse_settings([word])

    assert repr(word) in str(caught.value)


def test_a_name_below_a_plain_value_is_refused() -> None:
    with pytest.raises(InvalidParameters, match=r"'shots\.x' goes below a plain value"):
        parse_settings(["shots=1", "shots.x=2"])


# building


def test_what_is_not_given_has_its_default() -> None:
    assert build(Hubbard, {"shots": 5}) == Hubbard(shots=5)


def test_values_arrive_as_json_has_them() -> None:
    built = build(Hubbard, {"shape": [3, 4], "U": 2, "mode": "sampled"})

    assert (built.shape, built.U, built.mode) == ((3, 4), 2.0, "sampled")


def test_a_nested_setting_is_laid_over_its_default() -> None:
    built = build(Hubbard, {"sampler": {"threads": 3}, "solver": {"kind": "lanczos"}})

    assert built.sampler == AerSampler(threads=3)
    assert built.solver == Solver(kind="lanczos")


def test_a_setting_two_levels_down_is_laid_over_its_default() -> None:
    built = build(Hubbard, parse_settings(["solver.subspace.largest=30"]))

    assert built.solver.subspace == Subspace(smallest=6, largest=30)


def test_another_type_of_resource_replaces_the_default() -> None:
    built = build(Hubbard, {"sampler": {"type": "test-coins", "bias": 0.25}})

    assert built.sampler == Coins(bias=0.25)


def test_a_resource_may_be_the_name_of_a_block() -> None:
    assert build(Hubbard, {"sampler": "aer/mine"}).sampler == "aer/mine"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_parameter_may_be_nan_or_infinite(value: float) -> None:
    built = build(Hubbard, {"walltime": value})

    assert repr(built.walltime) == repr(value)


# refusals


def test_a_misspelt_name_is_answered_with_the_nearest_one() -> None:
    error = refusal({"shot": 5})

    assert error.problems == ("there is no parameter 'shot' (did you mean 'shots'?)",)


def test_a_name_like_no_other_is_answered_with_all_valid_ones() -> None:
    error = refusal({"zzz": 5})

    assert error.problems == ("there is no parameter 'zzz'",)
    assert str(error).endswith(f"Valid parameters: {', '.join(Hubbard.model_fields)}.")


@pytest.mark.parametrize("name", ["Shots", "V", "Zzz", "a-b", ""])
def test_an_unknown_name_is_named_however_it_is_written(name: str) -> None:
    assert f"there is no parameter {name!r}" in str(refusal({name: 5}))


def test_a_misspelt_name_in_a_nested_setting_is_answered_with_that_settings_names() -> None:
    (problem,) = refusal({"solver": {"tolerence": 1}}).problems

    assert problem == "there is no parameter 'solver.tolerence' (did you mean 'tolerance'?)"


def test_a_misspelt_name_in_a_resource_is_one_problem() -> None:
    (problem,) = refusal({"sampler": {"metod": "stabilizer"}}).problems

    assert problem == "there is no parameter 'sampler.metod' (did you mean 'method'?)"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (
            {"shots": "many"},
            "shots: input should be a valid integer, unable to parse string as an integer "
            "(given: 'many')",
        ),
        ({"shots": 0}, "shots: input should be greater than or equal to 1 (given: 0)"),
        ({"mode": "x"}, "mode: input should be 'exact' or 'sampled' (given: 'x')"),
        ({"U": []}, "U: input should be a valid number (given: [])"),
        ({"solver": {"kind": 3}}, "solver.kind: input should be a valid string (given: 3)"),
        (
            {"sampler": {"threads": 0}},
            "sampler.threads: input should be greater than or equal to 1 (given: 0)",
        ),
        (
            {"sampler": {"type": "test-coins", "bias": 2}},
            "sampler.bias: input should be less than or equal to 1 (given: 2)",
        ),
    ],
    ids=str,
)
def test_a_wrong_value_is_named_with_what_is_right(given: dict[str, Any], problem: str) -> None:
    assert refusal(given).problems == (problem,)


def test_a_value_wrong_for_every_kind_its_parameter_may_have_is_one_problem() -> None:
    (problem,) = refusal({"start": []}).problems

    assert problem.startswith("start: ")


def test_a_label_that_looks_like_a_number_is_a_label() -> None:
    assert build(Hubbard, parse_settings(["label=12"])).label == "12"


def test_an_unknown_type_of_resource_is_answered_with_the_known_ones() -> None:
    (problem,) = refusal({"sampler": {"type": "arr"}}).problems

    assert problem.startswith("sampler: type must be one of aer, ")
    assert "test-coins" in problem
    assert "(given: {'type': 'arr'})" in problem


@pytest.mark.parametrize("kind", [[], {}, 3, None])
def test_a_type_of_resource_that_is_no_word_is_answered_with_the_known_ones(kind: Any) -> None:
    assert "type must be one of aer, " in str(refusal({"sampler": {"type": kind}}))


def test_a_name_that_no_block_can_have_says_what_names_look_like() -> None:
    (problem,) = refusal({"sampler": "My Sampler"}).problems

    assert "block-type/name" in problem


def test_a_mistyped_type_alone_is_answered_with_the_known_ones() -> None:
    (problem,) = refusal({"sampler": "aerr"}).problems

    assert problem.startswith("sampler: it is one of aer, ")
    assert " (did you mean 'aer'?), or a saved block's 'block-type/name'" in problem
    assert problem.endswith("(given: 'aerr')")


def test_a_pattern_of_a_parameter_of_ones_own_is_not_taken_for_a_blocks_name() -> None:
    class Molecular(BaseModel):
        formula: str = Field(default="H2", pattern="^([A-Z][a-z]?[0-9]*)+$")

    (problem,) = refusal({"formula": "h2o"}, Molecular).problems

    assert "block" not in problem


def test_several_problems_are_told_at_once() -> None:
    error = refusal({"shots": 0, "mode": "x", "zzz": 1})

    assert [problem.split(":")[0] for problem in error.problems] == [
        "shots",
        "mode",
        "there is no parameter 'zzz'",
    ]


def test_a_missing_parameter_is_named() -> None:
    class Needy(BaseModel):
        molecule: str

    assert refusal({}, Needy).problems == ("molecule is required",)


def test_what_a_validator_of_the_whole_says_is_told_without_a_name() -> None:
    (problem,) = refusal({"mode": "sampled", "shots": 5}).problems

    assert problem.startswith("sampling needs 10 shots")


def test_a_value_that_json_lacks_is_refused() -> None:
    assert "set is not JSON serializable" in str(refusal({"shots": {1}}))


@pytest.mark.parametrize(
    "given",
    [
        {"label": "much too long"},
        {"zzz": 1, "shots": 0},
        {"shots": "two\nlines"},
        {"sampler": {"type": "two\nlines"}},
        {"sampler": {"metod": 1}},
    ],
    ids=str,
)
def test_a_refusal_is_one_line(given: dict[str, Any]) -> None:
    assert "\n" not in str(refusal(given))


def test_a_refusal_names_the_algorithm() -> None:
    assert str(refusal({"zzz": 1})).startswith("Hubbard: there is no parameter 'zzz'")


# as a record keeps them


def test_dumped_parameters_are_plain_json() -> None:
    parameters = to_plain(Hubbard(sampler=Coins(bias=0.25), shape=(3, 4)))

    assert json.loads(json.dumps(parameters)) == parameters
    assert parameters["sampler"] == {"type": "test-coins", "bias": 0.25}
    assert parameters["shape"] == [3, 4]


@pytest.mark.parametrize(
    "algorithm",
    [
        Hubbard(),
        Hubbard(sampler=Coins(bias=0.25), helper="aer/mine", shape=(3, 4), start="random"),
        Hubbard(walltime=math.inf),
        Hubbard(walltime=-math.inf),
    ],
    ids=["defaults", "changed", "infinite", "negative"],
)
def test_an_algorithm_is_built_again_from_its_dumped_parameters(algorithm: Hubbard) -> None:
    assert build(Hubbard, to_plain(algorithm)) == algorithm


def test_a_parameter_with_another_name_in_files_is_built_again() -> None:
    class Annealed(BaseModel):
        decay: float = Field(default=0.5, alias="lambda")

    annealed = build(Annealed, {"lambda": 0.25})

    assert build(Annealed, to_plain(annealed)) == annealed


def test_a_parameter_that_is_nan_is_built_again() -> None:
    assert math.isnan(build(Hubbard, to_plain(Hubbard(walltime=math.nan))).walltime)


# differences


def between(was: Hubbard, now: Hubbard) -> dict[str, tuple[object, object]]:
    return find_differences(now, to_plain(was))


def test_equal_parameters_do_not_differ() -> None:
    assert between(Hubbard(shots=5), Hubbard(shots=5)) == {}


def test_a_changed_parameter_differs() -> None:
    assert between(Hubbard(shots=5), Hubbard(shots=6)) == {"shots": (5, 6)}


def test_a_changed_list_differs_as_a_whole() -> None:
    assert between(Hubbard(), Hubbard(shape=(2, 3))) == {"shape": ([2, 2], [2, 3])}


def test_a_nested_setting_differs_by_its_dotted_name() -> None:
    changed = Hubbard(solver=Solver(subspace=Subspace(smallest=6, largest=30)))

    assert between(Hubbard(), changed) == {"solver.subspace.largest": (20, 30)}


def test_another_type_of_resource_differs_in_its_type() -> None:
    assert between(Hubbard(), Hubbard(sampler=Coins()))["sampler.type"] == ("aer", "test-coins")


@pytest.mark.parametrize(
    "now",
    [Hubbard(ranks=8), Hubbard(helper=Coins()), Hubbard(helper=AerSampler(method="stabilizer"))],
)
def test_an_operational_parameter_may_change_with_all_below_it(now: Hubbard) -> None:
    assert between(Hubbard(), now) == {}


@pytest.mark.parametrize(
    ("was", "now"), [(math.nan, math.inf), (math.inf, -math.inf), (1.0, math.nan)]
)
def test_numbers_that_json_lacks_differ(was: float, now: float) -> None:
    assert list(between(Hubbard(walltime=was), Hubbard(walltime=now))) == ["walltime"]


def test_nan_does_not_differ_from_nan() -> None:
    assert between(Hubbard(walltime=math.nan), Hubbard(walltime=math.nan)) == {}


def test_a_parameter_that_one_side_lacks_is_unset_there() -> None:
    without = {name: value for name, value in to_plain(Hubbard(shots=5)).items() if name != "shots"}

    assert find_differences(Hubbard(shots=5), without) == {"shots": ("unset", 5)}
    assert find_differences(Hubbard(), to_plain(Hubbard()) | {"old": 1}) == {"old": (1, "unset")}


def test_one_that_a_newer_version_has_learnt_is_no_difference_by_default() -> None:
    was = to_plain(Hubbard())
    del was["shots"], was["solver"]["subspace"]["largest"]

    assert find_differences(Hubbard(), was) == {}
    assert list(find_differences(Hubbard(shots=5), was)) == ["shots"]


def test_what_a_table_has_more_by_default_is_a_difference() -> None:
    class Weighted(Hubbard):
        weights: dict[str, float] = {"a": 1.0, "b": 2.0}

    was = to_plain(Weighted(weights={"a": 1.0}))
    assert list(find_differences(Weighted(), was)) == ["weights.b"]


def test_an_empty_setting_differs_from_a_filled_one() -> None:
    was = to_plain(Hubbard()) | {"solver": {}}

    assert "solver.subspace.largest" in find_differences(Hubbard(), was)


def test_differences_come_in_alphabetical_order() -> None:
    assert list(between(Hubbard(), Hubbard(shots=50, mode="sampled", label="x"))) == [
        "label",
        "mode",
        "shots",
    ]
