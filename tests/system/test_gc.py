"""`gc`, as a person types it."""

from __future__ import annotations

from system.command_line import WANDER, CommandLine

RUN = ("run", WANDER, "--no-prefect", "--max-iterations", "3", "--run-id", "wander")


def test_it_says_what_would_go_and_removes_it_with_yes(qcsc_loop: CommandLine) -> None:
    qcsc_loop(*RUN).well()
    work = qcsc_loop.store / "wander" / "work" / "00000002-sample"
    work.mkdir(parents=True)
    (work / "file").write_bytes(b"x" * 2_000_000)
    said = qcsc_loop("gc", "wander").well().out
    assert "1 work folder" in said
    assert "2.0 MB of 2.0 MB would go. To remove them: qcsc-loop gc wander --yes" in said
    assert work.exists()
    assert "2.0 MB of 2.0 MB are removed" in qcsc_loop("gc", "wander", "--yes").well().out
    assert not work.exists()
    assert qcsc_loop("resume", "wander", "--no-prefect", "--max-iterations", "5").well()


def test_young_runs_are_left_alone_unless_they_are_named(qcsc_loop: CommandLine) -> None:
    qcsc_loop(*RUN).well()
    assert "left alone: wander: it is too young" in qcsc_loop("gc").well().out
    answer = qcsc_loop("gc", "--older", "0s", "--json").well().answer
    (row,) = answer["runs"]
    assert (row["run_id"], row["kept"], row["parts"]) == ("wander", "", [])
    assert (answer["freed"], answer["would_free"]) == (0, 0)


def test_what_cannot_be_is_refused_in_a_sentence(qcsc_loop: CommandLine) -> None:
    assert "'soon' is no span of time" in qcsc_loop("gc", "--older", "soon").refusal
    assert "nobodys" in qcsc_loop("gc", "nobodys").refusal
    assert qcsc_loop("gc").well().out.startswith("nothing of 0 B in ")
