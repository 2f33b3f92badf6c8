"""`describe`, and `run ALGORITHM --help`: what there is to set."""

from __future__ import annotations

import pytest

from system.command_line import CommandLine


def test_alone_it_tells_what_can_be_described(qcsc_loop: CommandLine) -> None:
    said = qcsc_loop("describe").well().out
    assert "bitcount" in said and "sampler" in said


def test_an_algorithm_is_told_with_the_parameters_of_what_is_nested(qcsc_loop: CommandLine) -> None:
    said = qcsc_loop("describe", "bitcount", env={"COLUMNS": "80"}).well().out
    assert "  num_qubits=10 " in said and "at least 2, at most 1000" in said
    assert "  sampler.method=automatic " in said and "  tolerance=0.0001 * " in said
    assert max(map(len, said.partition("Parameters")[2].partition("\n*")[0].splitlines())) <= 80


def test_a_kind_of_setting_is_told_with_its_types(qcsc_loop: CommandLine) -> None:
    assert "ibm-runtime" in qcsc_loop("describe", "sampler").well().out
    assert "bit_flip=0.0" in qcsc_loop("describe", "sampler", "aer").well().out


def test_programs_are_told_the_same(qcsc_loop: CommandLine) -> None:
    answer = qcsc_loop("describe", "bitcount", "--json").well().answer
    found = {parameter["name"]: parameter for parameter in answer["parameters"]}
    assert found["shots"]["default"] == "100000" and found["machine"]["operational"]
    assert "local" in answer["types"]["machine"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["bitcout"], "there is no algorithm 'bitcout'"),
        (["sampler", "ear"], "(did you mean 'aer'?); there are aer,"),
        (["smapler", "aer"], "(did you mean 'sampler'?)"),
        (["machine", "hpc-machine/mine"], "names a saved machine, which is of some type"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(
    qcsc_loop: CommandLine, words: list[str], says: str
) -> None:
    assert says in qcsc_loop("describe", *words).refusal


def test_the_help_of_run_tells_the_parameters_of_the_algorithm_it_is_asked_for(
    qcsc_loop: CommandLine,
) -> None:
    said = qcsc_loop("run", "--seed", "3", "--help", "bitcount").well().out
    assert "--max-iterations" in said and "sampler.method=automatic" in said
    assert "sampler.method" not in qcsc_loop("run", "--help").well().out


def test_a_wrong_name_within_a_setting_is_answered_with_that_settings_names(
    qcsc_loop: CommandLine,
) -> None:
    said = qcsc_loop("run", "bitcount", "--no-prefect", "--set", "sampler.foo=1").refusal
    assert "Valid parameters: sampler.type, sampler.method," in said
