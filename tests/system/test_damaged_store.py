"""A store that is damaged, full or read-only: told in one sentence, and the result stays right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from small_disk import SmallDisk, small_disk
from system.command_line import WANDER, CommandLine, command_line, files_below, setting

SIZE = 300  # float64 numbers in the state: enough for a file of their own
TOY = ("run", WANDER, "--no-prefect", *setting(size=SIZE))
LIMIT = 5


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, prefect_home: Path) -> str:
    """The state of the run whose store is well."""
    with command_line(tmp_path_factory.mktemp("whole"), prefect_home) as line:
        answer = line(*TOY, "--max-iterations", str(LIMIT), "--json").well().answer
        return str(answer["state_sha256"])


def truncated(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def bit_flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def emptied(file: Path) -> None:
    file.write_bytes(b"")


DAMAGES = [truncated, bit_flipped, emptied, Path.unlink]


def newest(line: CommandLine, run_id: str, suffix: str) -> Path:
    """A file of the newest checkpoint."""
    return sorted((line.store / run_id / "checkpoints").glob(f"*{suffix}"))[-1]


@pytest.mark.guarantee("G22")
class TestADamagedCheckpoint:
    @pytest.fixture
    def line(self, qcsc_loop: CommandLine, run_id: str) -> CommandLine:
        """A run that stopped after iteration 3."""
        qcsc_loop(*TOY, "--run-id", run_id, "--max-iterations", "3").well()
        return qcsc_loop

    @pytest.mark.parametrize("suffix", [".json", ".npz"], ids=["record", "arrays"])
    @pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
    def test_it_is_told_stepped_past_and_the_result_is_the_same(
        self,
        line: CommandLine,
        run_id: str,
        whole: str,
        damage: Callable[[Path], None],
        suffix: str,
    ) -> None:
        damage(newest(line, run_id, suffix))
        words = ("resume", run_id, "--no-prefect", "--max-iterations", str(LIMIT))
        result = line(*words, "--json").well()
        warnings = [row for row in result.err.splitlines() if row.startswith("warning: ")]
        assert len(warnings) == 1
        assert warnings[0].endswith("Going on from iteration 2")
        assert result.answer["resumed_from"] == 2
        assert result.answer["state_sha256"] == whole
        history = line.journal(run_id).history()
        assert [commit.iteration for commit in history] == list(range(LIMIT + 1))

    def test_several_are_stepped_past(self, line: CommandLine, run_id: str, whole: str) -> None:
        for _ in range(3):
            newest(line, run_id, ".json").unlink()
        words = ("resume", run_id, "--no-prefect", "--max-iterations", str(LIMIT), "--json")
        answer = line(*words).well().answer
        assert (answer["resumed_from"], answer["state_sha256"]) == (0, whole)

    def test_if_none_is_good_the_run_is_refused_and_left_as_it_is(
        self, line: CommandLine, run_id: str
    ) -> None:
        for checkpoint in (line.store / run_id / "checkpoints").glob("*.json"):
            bit_flipped(checkpoint)
        checkpoints = files_below(line.store / run_id / "checkpoints")
        said = line("resume", run_id, "--no-prefect", "--max-iterations", str(LIMIT)).refusal
        assert "no checkpoint that verifies" in said
        assert "backup" in said
        assert files_below(line.store / run_id / "checkpoints") == checkpoints

    def test_with_prefect_the_server_gives_back_what_the_disk_lost(
        self, with_server: CommandLine, run_id: str, whole: str
    ) -> None:
        run = ("run", WANDER, *setting(size=SIZE), "--run-id", run_id)
        with_server(*run, "--max-iterations", "3").well()
        bit_flipped(newest(with_server, run_id, ".npz"))
        words = ("resume", run_id, "--max-iterations", str(LIMIT), "--json")
        answer = with_server(*words).well().answer
        assert (answer["resumed_from"], answer["state_sha256"]) == (3, whole)


class TestOtherDamage:
    def test_a_damaged_step_record_is_told_and_the_step_is_executed_again(
        self, qcsc_loop: CommandLine, run_id: str, tmp_path: Path
    ) -> None:
        trace = tmp_path / "trace"
        (tmp_path / "trace.bad").touch()
        raises = (WANDER.replace("Wander", "Raises"), "--no-prefect", "--max-iterations", "3")
        run = ("run", *raises, *setting(trace=str(trace)))
        assert qcsc_loop(*run, "--run-id", run_id).code == 1
        (tmp_path / "trace.bad").unlink()
        bit_flipped(qcsc_loop.store / run_id / "steps" / "00000002.sample.e0001.json")
        resumed = qcsc_loop("resume", run_id, "--no-prefect", "--json").well()
        assert "warning: the record of sample in iteration 2 is lost" in resumed.err
        assert trace.read_text().count("sample 2\n") == 2
        never_broken = qcsc_loop(*run, "--json").well().answer
        assert resumed.answer["state_sha256"] == never_broken["state_sha256"]

    def test_a_history_whose_last_line_was_cut_off_is_mended(
        self, qcsc_loop: CommandLine, run_id: str, whole: str
    ) -> None:
        qcsc_loop(*TOY, "--run-id", run_id, "--max-iterations", "3").well()
        history = qcsc_loop.store / run_id / "history.jsonl"
        history.write_bytes(history.read_bytes()[:-20])
        words = ("resume", run_id, "--no-prefect", "--max-iterations", str(LIMIT), "--json")
        assert qcsc_loop(*words).well().answer["state_sha256"] == whole
        commits = qcsc_loop.journal(run_id).history()
        assert [commit.iteration for commit in commits] == list(range(LIMIT + 1))

    @pytest.mark.parametrize("damage", [truncated, bit_flipped, emptied])
    def test_a_damaged_run_record_is_made_good_by_that_of_a_driver(
        self, qcsc_loop: CommandLine, run_id: str, damage: Callable[[Path], None], whole: str
    ) -> None:
        qcsc_loop(*TOY, "--run-id", run_id, "--max-iterations", "1").well()
        damage(qcsc_loop.store / run_id / "run.json")
        assert "the run's record is lost" in qcsc_loop("show", run_id).well().out
        words = ("resume", run_id, "--no-prefect", "--max-iterations", str(LIMIT), "--json")
        result = qcsc_loop(*words).well()
        assert "and taken from that of its driver 1" in result.err
        assert result.answer["state_sha256"] == whole

    def test_where_no_driver_s_record_is_left_either_it_is_told_in_one_sentence(
        self, qcsc_loop: CommandLine, run_id: str
    ) -> None:
        qcsc_loop(*TOY, "--run-id", run_id, "--max-iterations", "1").well()
        for name in ("run", "epochs/0001"):
            truncated(qcsc_loop.store / run_id / f"{name}.json")
        for words in (("show", run_id), ("resume", run_id, "--no-prefect")):
            assert "no record of a driver says its seed" in qcsc_loop(*words).refusal

    def test_temporary_files_of_a_killed_driver_do_no_harm(
        self, qcsc_loop: CommandLine, run_id: str, whole: str
    ) -> None:
        qcsc_loop(*TOY, "--run-id", run_id, "--max-iterations", "3").well()
        for folder in ("checkpoints", "steps", "epochs", "."):
            (qcsc_loop.store / run_id / folder / ".00000009.e0009.json.host.1.0.tmp").write_text(
                "{"
            )
        words = ("resume", run_id, "--no-prefect", "--max-iterations", str(LIMIT), "--json")
        assert qcsc_loop(*words).well().answer["state_sha256"] == whole


@pytest.fixture
def disk(qcsc_loop: CommandLine) -> Iterator[SmallDisk]:
    """The store on a disk of 1 MB."""
    with small_disk(qcsc_loop.store, "1m") as disk:
        yield disk
        qcsc_loop.close()


@pytest.mark.guarantee("G23")
class TestAFullDisk:
    LARGE = ("run", WANDER, "--no-prefect", *setting(size=20_000))  # 160 kB a state

    @pytest.mark.usefixtures("disk")
    def test_the_run_stops_with_one_sentence(self, qcsc_loop: CommandLine, run_id: str) -> None:
        result = qcsc_loop(*self.LARGE, "--run-id", run_id, "--max-iterations", "12", "--json")
        said = result.refusal
        assert "No space left on device" in said
        assert "resume" in said
        assert (result.code, result.answer["error"]) == (1, said)

    def test_with_more_space_it_goes_on_to_the_right_result(
        self, qcsc_loop: CommandLine, run_id: str, disk: SmallDisk, tmp_path: Path
    ) -> None:
        limit = ("--max-iterations", "12", "--json")
        assert qcsc_loop(*self.LARGE, "--run-id", run_id, *limit).code == 1
        disk.remount("size=64m")
        resumed = qcsc_loop("resume", run_id, "--no-prefect", "--json").well().answer
        roomy = ("--store", tmp_path / "roomy", *limit)
        assert (
            resumed["state_sha256"] == qcsc_loop(*self.LARGE, *roomy).well().answer["state_sha256"]
        )
        assert 0 < resumed["resumed_from"] < 12

    @pytest.mark.usefixtures("disk")
    def test_what_is_there_can_still_be_read(self, qcsc_loop: CommandLine, run_id: str) -> None:
        assert qcsc_loop(*self.LARGE, "--run-id", run_id, "--max-iterations", "12").code == 1
        assert "No space left on device" in qcsc_loop("show", run_id).out
        (row,) = qcsc_loop("list", "--json").well().answer
        assert row["status"] in ("failed", "crashed")
        assert row["iteration"] > 0

    @pytest.mark.usefixtures("disk")
    def test_a_run_that_cannot_even_begin_says_so(
        self, qcsc_loop: CommandLine, run_id: str
    ) -> None:
        filler = qcsc_loop.store / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        result = qcsc_loop(*TOY, "--run-id", run_id, "--max-iterations", "1")
        assert "No space left on device" in result.refusal
        filler.unlink()
        qcsc_loop(*TOY, "--run-id", run_id, "--max-iterations", "1").well()


@pytest.mark.guarantee("G23")
class TestAReadOnlyDisk:
    def test_a_resume_is_refused_in_one_sentence_and_right_after_mending(
        self, qcsc_loop: CommandLine, run_id: str, disk: SmallDisk, whole: str
    ) -> None:
        qcsc_loop(*TOY, "--run-id", run_id, "--max-iterations", "3").well()
        disk.remount("ro")
        words = ("resume", run_id, "--no-prefect", "--max-iterations", str(LIMIT), "--json")
        result = qcsc_loop(*words)
        assert "Read-only file system" in result.refusal
        assert (result.code, result.answer["kind"]) == (1, "StoreError")
        disk.remount("rw")
        answer = qcsc_loop(*words).well().answer
        assert (answer["resumed_from"], answer["state_sha256"]) == (3, whole)

    def test_a_new_run_is_refused_in_one_sentence(
        self, qcsc_loop: CommandLine, run_id: str, disk: SmallDisk
    ) -> None:
        disk.remount("ro")
        assert "Read-only file system" in qcsc_loop(*TOY, "--run-id", run_id).refusal

    def test_runs_can_be_read(self, qcsc_loop: CommandLine, run_id: str, disk: SmallDisk) -> None:
        qcsc_loop(*TOY, "--run-id", run_id, "--max-iterations", "1").well()
        disk.remount("ro")
        qcsc_loop("show", run_id).well()
        (row,) = qcsc_loop("list", "--json").well().answer
        assert row["status"] == "max_iterations"

    def test_a_disk_that_turns_read_only_while_a_run_works_stops_it(
        self, qcsc_loop: CommandLine, run_id: str, disk: SmallDisk, tmp_path: Path, whole: str
    ) -> None:
        gate = tmp_path / "gate"
        gate.mkdir()
        words = ("--run-id", run_id, "--max-iterations", str(LIMIT))
        driver = qcsc_loop.start(*TOY, *setting(gate=str(gate), gates=[2]), *words)
        driver.until_there_is(gate / "2.reached")
        disk.remount("ro")
        (gate / "2.open").touch()
        assert "Read-only file system" in driver.result().refusal
        disk.remount("rw")
        answer = qcsc_loop("resume", run_id, "--no-prefect", "--json").well().answer
        assert (answer["resumed_from"], answer["state_sha256"]) == (1, whole)
