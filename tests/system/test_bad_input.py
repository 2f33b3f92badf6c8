"""What was asked for cannot be done: one sentence that says what can, and nothing is left behind."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from system.command_line import TOYS, WANDER, CommandLine, files_below, setting
from thorough import first

BITCOUNT = ("run", "bitcount", "--no-prefect")
TOY = ("run", WANDER, "--no-prefect")


@dataclass(frozen=True)
class Refused:
    """A command, and what its one sentence must say."""

    words: tuple[str, ...]
    says: tuple[str, ...]


REFUSED = {
    "an unknown algorithm lists the known ones": Refused(
        ("run", "bitcuont", "--no-prefect"), ("'bitcuont'", "bitcount", "path/to/file.py:Class")
    ),
    "an unknown file is named": Refused(("run", "no/such.py:Thing"), ("no file no/such.py",)),
    "a file without a class lists the classes it has": Refused(
        ("run", f"{TOYS}:Nothing", "--no-prefect"), ("Nothing is not in it", "Wander", "Raises")
    ),
    "a class that is no algorithm is named": Refused(
        ("run", f"{TOYS}:Place"), ("Place is no IterativeAlgorithm", "Wander")
    ),
    "an unknown module is named": Refused(
        ("run", "no_such_package.module:Class"), ("no_such_package",)
    ),
    "an algorithm that does not say its types is told how": Refused(
        ("run", f"{TOYS}:Untyped", "--no-prefect"), ("Untyped", "IterativeAlgorithm[MyState")
    ),
    "an unknown parameter lists the valid ones": Refused(
        (*BITCOUNT, "--set", "colour=7"), ("'colour'", "num_qubits", "shots", "sampler")
    ),
    "a misspelt parameter is answered with the near one": Refused(
        (*BITCOUNT, "--set", "shot=7"), ("'shot'", "did you mean 'shots'")
    ),
    "a mistyped parameter says what was given": Refused(
        (*BITCOUNT, "--set", "shots=many"), ("shots", "'many'", "num_qubits")
    ),
    "an out-of-range parameter says its limit": Refused(
        (*BITCOUNT, "--set", "num_qubits=1"), ("num_qubits", "greater than or equal to 2")
    ),
    "no shots are refused": Refused((*BITCOUNT, "--set", "shots=0"), ("shots", "given: 0")),
    "no ranks are refused": Refused((*BITCOUNT, "--set", "ranks=0"), ("ranks", "given: 0")),
    "an unknown kind of sampler lists the known ones": Refused(
        (*BITCOUNT, "--set", "sampler.type=magic"), ("sampler", "aer")
    ),
    "a word that is no setting is shown": Refused(
        (*BITCOUNT, "--set", "shots"), ("'shots'", "name=value")
    ),
    "a setting below a plain value is refused": Refused(
        (*BITCOUNT, "--set", "shots=1", "--set", "shots.more=2"), ("shots.more",)
    ),
    "a bad run id says what is allowed": Refused(
        (*TOY, "--run-id", "Bad Id"), ("'Bad Id'", "lower-case letters")
    ),
    "a run id that leaves the store is refused": Refused(
        (*TOY, "--run-id", "../elsewhere"), ("'../elsewhere'", "lower-case letters")
    ),
    "resuming an unknown run says where it looked": Refused(
        ("resume", "no-such-run", "--no-prefect"), ("'no-such-run'", "--store DIR")
    ),
    "showing an unknown run says where it looked": Refused(
        ("show", "no-such-run"), ("'no-such-run'", "--store DIR")
    ),
    "a block's name without Prefect is refused": Refused(
        (*BITCOUNT, "--set", "sampler=aer-sampler/mine"), ("aer-sampler/mine", "--no-prefect")
    ),
    "a text that is no block's name says what is one": Refused(
        (*BITCOUNT, "--set", "sampler=mine"), ("sampler", "block-type/name")
    ),
    "an unreachable Prefect API says what to do": Refused(
        ("run", WANDER), ("http://127.0.0.1:9/api", "prefect server start", "--no-prefect")
    ),
    "an unreachable Prefect API says what to do on resume": Refused(
        ("resume", "no-such-run"), ("http://127.0.0.1:9/api", "--no-prefect")
    ),
}


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED.keys())
class TestNothingIsStarted:
    # nothing listens on port 9, so that no case can end up on a temporary server
    NOWHERE = {"PREFECT_API_URL": "http://127.0.0.1:9/api"}

    def test_one_sentence_says_what_is_wrong_and_what_is_valid(
        self, qcsc_loop: CommandLine, refused: Refused
    ) -> None:
        result = qcsc_loop(*refused.words, "--json", env=self.NOWHERE)
        sentence = result.refusal
        assert [part for part in refused.says if part not in sentence] == []
        assert (result.code, result.err.count("\n")) == (2, 1)
        assert (result.answer["error"], result.out.count("\n")) == (sentence, 1)


@pytest.mark.usefixtures("nothing_left")
def test_without_json_nothing_but_the_sentence_is_said(qcsc_loop: CommandLine) -> None:
    result = qcsc_loop(*BITCOUNT, "--set", "shots=0")
    assert (result.out, result.err.count("\n"), bool(result.refusal)) == ("", 1, True)


USAGE = {
    "an unknown command": ("walk",),
    "an unknown option": (*TOY, "--fast"),
    "a missing argument": ("run",),
    "a negative seed": (*TOY, "--seed", "-1"),
    "a seed that is no number": (*TOY, "--seed", "x"),
    "a negative limit": (*TOY, "--max-iterations", "-1"),
    "less history than a resume needs": (*TOY, "--keep", "1"),
    "an unknown task granularity": (*TOY, "--tasks", "all"),
    "a parameter file that is not there": (*TOY, "--params", "no-such.toml"),
    "no rank for the doctor": ("doctor", "--ranks", "0"),
}


@pytest.mark.parametrize("words", USAGE.values(), ids=USAGE.keys())
@pytest.mark.usefixtures("nothing_left")
def test_wrong_usage_is_answered_with_the_usage(
    qcsc_loop: CommandLine, words: tuple[str, ...]
) -> None:
    result = qcsc_loop(*words)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("Usage: qcsc-loop")
    assert result.err.splitlines()[-1].startswith("Error: ")


@pytest.mark.parametrize("content", [b"shots = = 2", b"\xff\xfe"], ids=["no TOML", "no text"])
@pytest.mark.usefixtures("nothing_left")
def test_a_parameter_file_that_is_no_toml_is_named(
    qcsc_loop: CommandLine, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "params.toml"
    file.write_bytes(content)
    result = qcsc_loop(*BITCOUNT, "--params", file, "--json")
    assert str(file) in result.refusal
    assert "TOML" in result.answer["error"]


@pytest.mark.usefixtures("nothing_left")
def test_a_parameter_file_with_a_date_is_refused(qcsc_loop: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "params.toml"
    file.write_text("shots = 2026-01-01\n")
    assert "BitCount" in qcsc_loop(*BITCOUNT, "--params", file).refusal


@pytest.mark.usefixtures("nothing_left")
def test_a_file_that_python_cannot_read_is_refused(qcsc_loop: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("class Broken(:\n")
    assert "SyntaxError" in qcsc_loop("run", f"{file}:Broken", "--no-prefect").refusal


def test_a_store_that_is_a_file_is_refused(qcsc_loop: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    assert str(file) in qcsc_loop(*TOY, env={"QCSC_LOOP_STORE": str(file)}).refusal
    assert file.read_text() == "mine"


@pytest.mark.parametrize("words", first(1, [(), ("-d",)]))
def test_a_store_that_cannot_be_made_is_no_run_to_resume(
    qcsc_loop: CommandLine, words: tuple[str, ...]
) -> None:
    said = qcsc_loop(*TOY, *words, env={"QCSC_LOOP_STORE": "/proc/none"}).refusal
    assert "/proc/none/" in said and said.endswith(
        "No such file or directory. Nothing has begun; mend the store (space, permissions, mount), "
        "or name another folder with --store DIR or QCSC_LOOP_STORE."
    )


def test_a_lease_that_is_no_time_is_refused(qcsc_loop: CommandLine) -> None:
    result = qcsc_loop(*TOY, env={"QCSC_LOOP_LEASE_SECONDS": "soon"})
    assert "QCSC_LOOP_LEASE_SECONDS" in result.refusal


@pytest.mark.parametrize("new_id", ["../x", "_sweeps", ".foo", ""])
def test_a_fork_or_an_import_of_an_id_that_no_run_may_have_is_refused(
    qcsc_loop: CommandLine, tmp_path: Path, new_id: str
) -> None:
    qcsc_loop(*TOY, *setting(size=3), "--max-iterations", "1", "--run-id", "parent").well()
    qcsc_loop("export", "parent", "-o", archive := tmp_path / "parent.tar.gz").well()
    before = files_below(qcsc_loop.store)
    for words in (("fork", "parent"), ("import", archive)):
        result = qcsc_loop(*words, "--run-id", new_id)
        assert f"{new_id!r} cannot be a run id: use 1 to 100 lower-case" in result.refusal
        assert result.code == 2
    assert files_below(qcsc_loop.store) == before
    assert not (qcsc_loop.store.parent / "x").exists()


def test_of_a_fork_the_time_is_its_own(qcsc_loop: CommandLine) -> None:
    words = (*setting(size=3), "--max-iterations", "6", "--run-id", "parent")
    qcsc_loop(*TOY, *words).well()
    qcsc_loop("fork", "parent", "--run-id", "fork").well()
    qcsc_loop("resume", "fork", "--no-prefect", "--max-iterations", "7").well()
    qcsc_loop("resume", "parent", "--no-prefect", "--max-iterations", "7").well()
    shown = qcsc_loop("show", "fork").well().out
    assert re.search("^forked from +parent after iteration 6$", shown, re.MULTILINE)
    parts = [commit["seconds"] for commit in qcsc_loop("show", "fork", "--json").answer["history"]]
    assert [bool(part) for part in parts] == [False] * 7 + [True]


class TestOnARunThatExists:
    """Resuming with what would give other results changes nothing."""

    @pytest.fixture
    def existing(self, qcsc_loop: CommandLine, run_id: str) -> CommandLine:
        words = (*setting(size=3), "--max-iterations", "2", "--run-id", run_id)
        qcsc_loop(*TOY, *words).well()
        return qcsc_loop

    def test_other_parameters_are_listed(self, existing: CommandLine, run_id: str) -> None:
        before = files_below(existing.store)
        result = existing(*TOY, *setting(size=4), "--run-id", run_id, "--json")
        assert "(size: 3 -> 4)" in result.refusal
        assert result.answer["error"] == result.refusal
        assert result.code == 2
        assert files_below(existing.store) == before

    def test_another_seed_is_listed(self, existing: CommandLine, run_id: str) -> None:
        before = files_below(existing.store)
        words = (*setting(size=3), "--seed", "8", "--run-id", run_id)
        assert "(seed: 0 -> 8)" in existing(*TOY, *words).refusal
        assert files_below(existing.store) == before

    def test_another_algorithm_is_listed(self, existing: CommandLine, run_id: str) -> None:
        other = ("run", f"{TOYS}:Raises", "--no-prefect", *setting(size=3), "--run-id", run_id)
        assert "(algorithm: Wander -> Raises)" in existing(*other).refusal

    def test_an_unknown_run_is_answered_with_those_there_are(
        self, existing: CommandLine, run_id: str
    ) -> None:
        assert run_id in existing("show", "no-such-run").refusal


class TestFaultsOfTheUsersCode:
    def test_a_hook_that_returns_a_wrong_type_is_named(
        self, qcsc_loop: CommandLine, run_id: str
    ) -> None:
        words = ("run", f"{TOYS}:WrongType", "--no-prefect", "--run-id", run_id, "--json")
        result = qcsc_loop(*words)
        assert "WrongType.evaluate must return float, but returned str" in result.refusal
        assert (result.code, result.answer["error"]) == (1, result.refusal)

    @pytest.mark.parametrize("prefect", [("--no-prefect",), ()], ids=["alone", "in a flow"])
    def test_a_hook_that_raises_is_named_with_its_line_and_the_way_on(
        self, with_server: CommandLine, run_id: str, tmp_path: Path, prefect: tuple[str, ...]
    ) -> None:
        (tmp_path / "trace.bad").touch()
        words = ("run", f"{TOYS}:Raises", *prefect, *setting(trace=str(tmp_path / "trace")))
        result = with_server(*words, "--run-id", run_id, "--json")
        said = result.refusal
        assert "Raises.evaluate raised ValueError in iteration 2 at toys.py:" in said
        assert "the detector is off" in said
        assert f"qcsc-loop resume {run_id}" in said
        assert (result.code, result.answer["error"]) == (1, said)

    def test_a_hook_that_raises_leaves_one_sentence_and_its_traceback_for_show(
        self, qcsc_loop: CommandLine, run_id: str, tmp_path: Path
    ) -> None:
        (tmp_path / "trace.bad").touch()
        words = (f"{TOYS}:Raises", "--no-prefect", *setting(trace=str(tmp_path / "trace")))
        result = qcsc_loop("run", *words, "--run-id", run_id)
        assert (result.err.count("\n"), bool(result.refusal)) == (1, True)
        shown = qcsc_loop("show", run_id)
        assert (shown.code, shown.err) == (0, "")
        assert 'raise ValueError("the detector' in shown.out

    def test_after_the_fix_the_run_goes_on(
        self, qcsc_loop: CommandLine, run_id: str, tmp_path: Path
    ) -> None:
        (tmp_path / "trace.bad").touch()
        words = (f"{TOYS}:Raises", "--no-prefect", *setting(trace=str(tmp_path / "trace")))
        limit = ("--max-iterations", "3", "--json")
        assert qcsc_loop("run", *words, "--run-id", run_id, *limit).code == 1
        (tmp_path / "trace.bad").unlink()
        fixed = qcsc_loop("resume", run_id, "--no-prefect", "--json").well().answer
        never_broken = qcsc_loop("run", *words, *limit).well().answer
        assert fixed["state_sha256"] == never_broken["state_sha256"]
        assert fixed["resumed_from"] == 1


def test_a_block_that_does_not_exist_is_answered_with_those_that_do(
    with_server: CommandLine,
) -> None:
    result = with_server("run", "bitcount", "--set", "sampler=aer-sampler/no-such", "--json")
    assert "'aer-sampler/no-such' cannot be used" in result.refusal
    assert (result.code, result.answer["error"]) == (2, result.refusal)
    assert files_below(with_server.store) == []
