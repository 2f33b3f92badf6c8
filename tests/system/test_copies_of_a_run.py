"""What a server has of a run is a copy: only this run's counts, and only what it can be believed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from loop.toys import Counting
from other_user import NOBODY
from qcsc_algorithms.bitcount.bitcount import BitCount
from qcsc_loop.catalog import recorded_algorithm
from qcsc_loop.errors import (
    AlgorithmNotNamed,
    KeyNotPrivate,
    ParametersChanged,
    RunLocked,
    SeveralRuns,
)
from qcsc_loop.loop.events import RunStarted
from qcsc_loop.prefect.artifacts import Published, RunArtifacts, pack
from qcsc_loop.prefect.presence import Presence
from qcsc_loop.prefect.restore import Wanted, restore
from qcsc_loop.prefect.signing import Signer
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.sampling.random_bits import RandomSampler
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.records import EndRecord
from qcsc_loop.values.document import Document
from system.api import FakeAPI

RUN = "toy-1"
OTHER_CODE = "/home/mallory/code.py:Counting"
Edit = Callable[[dict[str, Any]], object]


def run_to(place: Path, last: int, seed: int = 0, algorithm: Any = None) -> Journal:
    """A run that is driven to an iteration, in a store of its own."""
    store, toy = DirectoryStore(place), algorithm or Counting()
    anyio.run(lambda: toy.run(store=store, run_id=RUN, seed=seed, stop=MaxIterations(last)))
    return Journal(store, RUN)


def artifacts_of(api: FakeAPI) -> RunArtifacts:
    return RunArtifacts(api.client, RUN)


def publish(api: FakeAPI, journal: Journal) -> None:
    """What a run's drivers send."""

    async def send() -> None:
        artifacts, record = artifacts_of(api), journal.record()
        for name in reversed(journal.checkpoints()):
            commit, state = journal.checkpoint(name)
            published = Published(uid=record.uid, commit=commit, state=pack(state), place="")
            await artifacts.publish(published)
        for epoch in journal.epochs():
            artifact = await artifacts.publish_driver(record, epoch)
            if (end := journal.end(epoch.epoch)) is not None:
                await artifacts.say_end(artifact, record, epoch, end)

    anyio.run(send)


def forge(api: FakeAPI, key: str, edit: Edit) -> None:
    """A further artifact, made of the newest one by somebody who may write to the API."""
    data = json.loads(api.texts(key)[-1])
    edit(data)
    api.add(key, json.dumps(data))


def newer_checkpoint(data: dict[str, Any]) -> None:
    """A further iteration, with hashes that are right."""
    body = json.loads(data["state"]["body"])
    body["count"] = 100
    data["state"]["body"] = json.dumps(body)
    sha256 = hashlib.sha256(data["state"]["body"].encode()).hexdigest()
    data["commit"] |= {"iteration": data["commit"]["iteration"] + 1, "epoch": 6}
    data["commit"]["state_sha256"] = sha256


def newer_driver(data: dict[str, Any]) -> None:
    """A driver that went on with other code, and has ended."""
    data["epoch"] |= {"epoch": 6}
    data["epoch"]["holder"]["host"] = "elsewhere"
    data["epoch"]["settings"]["algorithm"] = OTHER_CODE


def living_driver(data: dict[str, Any]) -> None:
    """One that holds the run, if it is believed."""
    newer_driver(data)
    data["end"] = None


def in_folder(journal: Journal) -> dict[str, bytes]:
    """Every file of the run."""
    folder = Path(journal.store.place, RUN)
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def checked(end: EndRecord | None) -> EndRecord:
    assert end is not None
    return end


def brought(api: FakeAPI, journal: Journal, wanted: Wanted | None = None) -> list[str]:
    """What is said when the run is to be brought from the API."""
    said: list[str] = []
    anyio.run(restore, artifacts_of(api), journal, wanted or Wanted(), said.append)
    return said


@pytest.fixture
def api() -> FakeAPI:
    return FakeAPI()


@pytest.mark.guarantee("S13")
class TestADiskThatHasTheRun:
    def test_a_forged_artifact_brings_stops_and_changes_nothing(
        self, api: FakeAPI, tmp_path: Path
    ) -> None:
        journal = run_to(tmp_path, 3)
        publish(api, journal)
        before = in_folder(journal)
        forge(api, RUN, newer_checkpoint)
        forge(api, f"{RUN}-run", living_driver)
        (said,) = brought(api, journal)
        assert "an iteration 4 of this run that this disk does not know" in said
        assert "~/.config/qcsc-loop/key of the other one (or what" in said
        assert f"to {os.environ['QCSC_LOOP_KEY_FILE']} here, with mode 600" in said
        assert in_folder(journal) == before
        assert recorded_algorithm(journal) == Counting()
        assert run_to(tmp_path, 4).history()[-1].scalars["count"] == 4

    def test_the_same_edits_are_brought_if_this_person_has_signed_them(
        self, api: FakeAPI, tmp_path: Path
    ) -> None:
        """The forgeries above fail for their signature alone."""
        journal = run_to(tmp_path, 3)
        publish(api, journal)
        forge(api, RUN, newer_checkpoint)
        forge(api, f"{RUN}-run", newer_driver)
        signer = Signer.of_this_person()
        for row in api.rows:
            data = json.loads(row["data"])
            data.pop("signature")
            row["data"] = signer.sign(json.dumps(data))
        assert brought(api, journal) == []
        assert (journal.newest_good(), journal.newest_epoch()) == (4, 6)
        # and even then the code is what the run was begun with, until a person says otherwise
        with pytest.raises(AlgorithmNotNamed, match=f"its newest driver had {OTHER_CODE}"):
            recorded_algorithm(journal)
        assert recorded_algorithm(journal, named="loop.toys:Counting") == Counting()

    def test_another_run_of_that_id_is_not_mixed_in(self, api: FakeAPI, tmp_path: Path) -> None:
        publish(api, run_to(tmp_path / "a", 5))
        journal = run_to(tmp_path / "b", 2, seed=9)
        before = in_folder(journal)
        assert brought(api, journal) == []
        assert in_folder(journal) == before
        mixed = run_to(tmp_path / "b", 6, seed=9).history()[-1]
        assert (
            mixed.state_sha256 == run_to(tmp_path / "alone", 6, seed=9).history()[-1].state_sha256
        )

    def test_a_damaged_checkpoint_is_made_good_by_a_copy_that_the_history_vouches_for(
        self, api: FakeAPI, tmp_path: Path
    ) -> None:
        journal = run_to(tmp_path, 3)
        publish(api, journal)
        for row in api.rows:  # as an older version, or another machine, published it
            data = json.loads(row["data"])
            data.pop("signature")
            row["data"] = json.dumps(data)
        newest = journal.checkpoints()[0]
        commit, state = journal.checkpoint(newest)
        journal.add_checkpoint(commit, Document(state.body.replace(b'"count":3', b'"count":4')))
        assert journal.newest_good() == 2
        brought(api, journal)
        assert journal.newest_good() == 3

    def test_of_a_copy_that_the_history_vouches_for_the_state_alone_is_taken(
        self, api: FakeAPI, tmp_path: Path
    ) -> None:
        """What it says beside that could stop the run, or make its budget a new one."""
        journal = run_to(tmp_path, 3)
        publish(api, journal)
        commit, state = journal.checkpoint(journal.checkpoints()[0])
        told = {"converged": True, "spent": {}, "scalars": {"count": 1e9}, "epoch": 7}
        for row in api.rows:
            data = json.loads(row["data"])
            data.pop("signature")
            if data.get("commit", {}).get("iteration") == 3:
                data["commit"] |= told
            row["data"] = json.dumps(data)
        journal.add_checkpoint(commit, Document(state.body.replace(b'"count":3', b'"count":4')))

        brought(api, journal)

        assert journal.checkpoint(journal.checkpoints()[0])[0] == commit

    @pytest.mark.guarantee("S10")
    def test_a_planted_record_of_a_driver_does_not_say_what_runs(self, tmp_path: Path) -> None:
        journal = run_to(tmp_path, 1)
        first = Path(journal.store.place, RUN, "epochs", "0001.json")
        planted = json.loads(journal.store.read(f"{RUN}/epochs/0001").body)
        planted |= {"epoch": 2}
        planted["settings"]["algorithm"] = OTHER_CODE
        journal.store.write(f"{RUN}/epochs/0002", Document(json.dumps(planted).encode()))
        assert first.exists()
        with pytest.raises(AlgorithmNotNamed, match="Which one is meant only you can say"):
            recorded_algorithm(journal)


@pytest.mark.guarantee("S13")
class TestADriverThatWorks:
    @staticmethod
    def after_announcing(api: FakeAPI, journal: Journal) -> int:
        """The newest epoch once a driver has seen who else is there."""

        async def announce() -> None:
            started = RunStarted(journal.record(), journal.epoch(1), None)
            await Presence(artifacts_of(api), api.client, journal, started).announce()

        anyio.run(announce)
        return journal.newest_epoch()

    def test_a_forged_driver_does_not_supersede_it(self, api: FakeAPI, tmp_path: Path) -> None:
        journal = run_to(tmp_path, 1)
        publish(api, journal)
        forge(api, f"{RUN}-run", living_driver)
        assert self.after_announcing(api, journal) == 1

    def test_a_driver_of_another_run_does_not_supersede_it(
        self, api: FakeAPI, tmp_path: Path
    ) -> None:
        other = run_to(tmp_path / "a", 1)
        run_to(tmp_path / "a", 2)
        publish(api, other)
        assert self.after_announcing(api, run_to(tmp_path / "b", 1)) == 1

    def test_one_of_the_same_run_on_another_disk_does(self, api: FakeAPI, tmp_path: Path) -> None:
        here = run_to(tmp_path / "a", 1)
        publish(api, here)
        there = Journal(DirectoryStore(tmp_path / "b"), RUN)
        brought(api, there, Wanted(algorithm=Counting))
        run_to(tmp_path / "b", 2)
        (second,) = [epoch for epoch in there.epochs() if epoch.epoch == 2]
        elsewhere = second.holder.model_copy(update={"host": "elsewhere"})
        theirs = second.model_copy(update={"holder": elsewhere})
        anyio.run(artifacts_of(api).publish_driver, there.record(), theirs)
        assert self.after_announcing(api, here) == 2


def put_back(api: FakeAPI, *texts: str) -> None:
    """Old artifacts again, by somebody who may write to the API: the newest there, and signed."""
    for text in texts:
        data = json.loads(text)
        api.add(RUN if "commit" in data else f"{RUN}-run", text)


@pytest.mark.guarantee("S14")
class TestOldSignedArtifactsThatArePutBack:
    def test_change_nothing_on_a_disk_that_has_newer(self, api: FakeAPI, tmp_path: Path) -> None:
        journal = run_to(tmp_path, 3)
        publish(api, journal)
        old = [*api.texts(RUN), *api.texts(f"{RUN}-run")]
        run_to(tmp_path, 5)
        before = in_folder(journal)
        api.rows.clear()
        put_back(api, *old)
        assert brought(api, journal) == []
        assert in_folder(journal) == before

    def test_come_after_newer_ones_on_a_disk_that_has_nothing(
        self, api: FakeAPI, tmp_path: Path
    ) -> None:
        publish(api, run_to(tmp_path / "a", 3))
        old = [*api.texts(RUN), *api.texts(f"{RUN}-run")]
        api.rows.clear()
        publish(api, run_to(tmp_path / "a", 5))
        put_back(api, *old)
        journal = Journal(DirectoryStore(tmp_path / "b"), RUN)
        (said,) = brought(api, journal, Wanted(algorithm=Counting))
        assert (journal.newest_good(), journal.newest_epoch()) == (5, 2)
        assert "the newest state that can be believed is of iteration 5, from 20" in said

    def test_of_an_iteration_that_of_the_newer_driver_counts(
        self, api: FakeAPI, tmp_path: Path
    ) -> None:
        publish(api, run_to(tmp_path / "a", 3))
        forge(api, RUN, lambda data: data["commit"].update(epoch=2, scalars={"count": 7.0}))
        for row in api.rows:
            data = json.loads(row["data"])
            data.pop("signature")
            row["data"] = Signer.of_this_person().sign(json.dumps(data))
        put_back(api, api.texts(RUN)[-2])
        journal = Journal(DirectoryStore(tmp_path / "b"), RUN)
        brought(api, journal, Wanted(algorithm=Counting))
        newest, _ = journal.checkpoint(journal.checkpoints()[0])
        assert (newest.rank, journal.history()[-1].scalars) == ((3, 2), {"count": 7.0})

    def test_of_a_driver_that_has_ended_do_not_make_it_live(
        self, api: FakeAPI, tmp_path: Path
    ) -> None:
        journal = run_to(tmp_path / "a", 1)
        epoch = journal.epoch(1)
        elsewhere = epoch.holder.model_copy(update={"host": "elsewhere", "boot": "another"})
        theirs = epoch.model_copy(update={"holder": elsewhere})

        async def drive() -> str:
            artifacts = artifacts_of(api)
            artifact = await artifacts.publish_driver(journal.record(), theirs)
            (begun,) = api.texts(f"{RUN}-run")
            await artifacts.say_end(artifact, journal.record(), theirs, checked(journal.end(1)))
            return begun

        put_back(api, anyio.run(drive))
        brought(api, Journal(DirectoryStore(tmp_path / "b"), RUN), Wanted(algorithm=Counting))

    def test_of_an_earlier_driver_do_not_stop_the_one_that_works(
        self, api: FakeAPI, tmp_path: Path
    ) -> None:
        journal = run_to(tmp_path, 1)
        anyio.run(artifacts_of(api).publish_driver, journal.record(), journal.epoch(1))
        (old,) = api.texts(f"{RUN}-run")
        run_to(tmp_path, 2)

        async def work() -> None:
            started = RunStarted(journal.record(), journal.epoch(2), 1)
            presence = Presence(artifacts_of(api), api.client, journal, started)
            await presence.announce()
            mine = api.rows.pop()  # and that of the one that works is taken away
            put_back(api, old)
            api.rows.insert(0, mine | {"key": "hidden"})
            await presence.beat()

        anyio.run(work)
        assert journal.newest_epoch() == 2

    def test_of_another_run_are_not_this_one_under_its_key(
        self, api: FakeAPI, tmp_path: Path
    ) -> None:
        publish(api, run_to(tmp_path / "a", 3))
        texts = [text for row in api.rows if (text := row["data"])]
        for text in texts:
            api.add("other" if "commit" in json.loads(text) else "other-run", text)
        journal = Journal(DirectoryStore(tmp_path / "b"), "other")
        assert not anyio.run(restore, RunArtifacts(api.client, "other"), journal)
        assert not journal.exists()


class TestTwoDisksThatDidNotHearOfEachOther:
    def test_a_driver_with_the_number_of_one_here_is_adopted_under_the_next(
        self, api: FakeAPI, tmp_path: Path
    ) -> None:
        """Else jobs that it left would not be looked for, and be paid again."""
        here = run_to(tmp_path / "a", 1)
        publish(api, here)
        there = Journal(DirectoryStore(tmp_path / "b"), RUN)
        brought(api, there, Wanted(algorithm=Counting))
        run_to(tmp_path / "b", 2)
        run_to(tmp_path / "a", 1)  # the server was away: nobody hears of this second driver
        publish(api, there)
        assert not here.store.has(f"{RUN}/elsewhere")
        for _ in range(2):
            brought(api, here)
            numbers = [epoch.epoch for epoch in here.epochs()]
            assert numbers == [1, 2, 3]
        assert here.epoch(3).holder == there.epoch(2).holder
        assert here.store.has(f"{RUN}/elsewhere")

    def test_what_a_newer_driver_made_of_an_iteration_counts_where_an_older_one_told_nobody(
        self, api: FakeAPI, tmp_path: Path
    ) -> None:
        """What was made of it afterwards, elsewhere, was made of the newer driver's."""
        here = run_to(tmp_path / "a", 2)
        publish(api, here)
        there = Journal(DirectoryStore(tmp_path / "b"), RUN)
        brought(api, there, Wanted(algorithm=Counting))
        run_to(tmp_path / "b", 4)
        publish(api, there)
        commit, state = here.checkpoint(here.checkpoints()[0])
        for iteration in (3, 4):  # of the first driver, which stood still before it told
            late = commit.model_copy(update={"iteration": iteration, "scalars": {"count": -1.0}})
            here.add_checkpoint(late, state)
            here.add_history([late])

        brought(api, here)

        newest, _ = here.checkpoint(here.checkpoints()[0])
        assert newest.rank == (4, 2)
        assert [(line.rank, line.scalars["count"]) for line in here.history()[2:]] == [
            ((2, 1), 2.0),
            ((3, 2), 3.0),
            ((4, 2), 4.0),
        ]

    def test_while_it_works_it_has_the_run(self, api: FakeAPI, tmp_path: Path) -> None:
        here = run_to(tmp_path, 1)
        epoch = here.epoch(1)
        elsewhere = epoch.holder.model_copy(update={"host": "elsewhere", "boot": "another"})
        theirs = epoch.model_copy(update={"holder": elsewhere})
        anyio.run(artifacts_of(api).publish_driver, here.record(), theirs)
        with pytest.raises(RunLocked, match="elsewhere"):
            brought(api, here)


@pytest.mark.parametrize("ahead", [timedelta(hours=-2), timedelta(0), timedelta(hours=2)])
class TestADriverElsewhereWhoseServersDatabaseHasAClockOfItsOwn:
    @staticmethod
    def beaten(api: FakeAPI, journal: Journal, ahead: timedelta) -> dict[str, Any]:
        """The artifact of one that works on another machine, with a sign of life."""
        api.ahead, epoch = ahead, journal.epoch(1)
        elsewhere = epoch.holder.model_copy(update={"host": "elsewhere", "boot": "another"})

        async def announce() -> None:
            artifacts, theirs = artifacts_of(api), epoch.model_copy(update={"holder": elsewhere})
            artifact = await artifacts.publish_driver(journal.record(), theirs)
            await artifacts.beat(artifact, theirs)

        anyio.run(announce)
        return api.rows[-1]

    @staticmethod
    def resumed(api: FakeAPI, place: Path) -> None:
        brought(api, Journal(DirectoryStore(place), RUN), Wanted(algorithm=Counting))

    def test_it_is_left_alone_until_its_lease_has_run_out(
        self, api: FakeAPI, tmp_path: Path, ahead: timedelta
    ) -> None:
        row = self.beaten(api, run_to(tmp_path / "a", 0), ahead)
        with pytest.raises(RunLocked, match="elsewhere"):
            self.resumed(api, tmp_path / "b")
        for when in ("created", "updated"):
            row[when] = (datetime.fromisoformat(row[when]) - timedelta(hours=1)).isoformat()
        self.resumed(api, tmp_path / "b")
        assert [row["key"] for row in api.rows] == [f"{RUN}-run"]  # nothing of the look is left

    def test_before_its_first_sign_of_life_the_other_clock_counts(
        self, api: FakeAPI, tmp_path: Path, ahead: timedelta
    ) -> None:
        row = self.beaten(api, run_to(tmp_path / "a", 0), ahead)
        row["updated"] = row["created"]
        with pytest.raises(RunLocked, match="elsewhere"):
            self.resumed(api, tmp_path / "b")

    def test_a_sign_from_the_future_holds_it_for_one_lease(
        self, api: FakeAPI, tmp_path: Path, ahead: timedelta
    ) -> None:
        row = self.beaten(api, run_to(tmp_path / "a", 0), ahead)
        row["updated"] = (datetime.fromisoformat(row["updated"]) + timedelta(days=1)).isoformat()
        with pytest.raises(RunLocked, match="elsewhere"):
            self.resumed(api, tmp_path / "b")
        now = datetime.now(UTC) + ahead
        assert datetime.fromisoformat(row["updated"]) <= now


@pytest.mark.guarantee("S15")
class TestADiskThatHasNothing:
    def test_it_says_what_it_found_and_asks_for_the_code(
        self, api: FakeAPI, tmp_path: Path
    ) -> None:
        publish(api, run_to(tmp_path / "a", 2))
        journal = Journal(DirectoryStore(tmp_path / "b"), RUN)
        with pytest.raises(AlgorithmNotNamed) as refused:
            brought(api, journal)
        said = str(refused.value)
        assert "the Prefect server has one of loop.toys:Counting, seed 0: driver 1 by " in said
        assert "signed with your key" in said
        assert said.endswith(f"qcsc-loop resume {RUN} --algorithm loop.toys:Counting")
        assert not Path(journal.store.place).exists()

    def test_with_the_code_named_it_goes_on_with_that(self, api: FakeAPI, tmp_path: Path) -> None:
        publish(api, run_to(tmp_path / "a", 2))
        journal = Journal(DirectoryStore(tmp_path / "b"), RUN)
        assert brought(api, journal, Wanted(algorithm=Counting))
        assert journal.newest_good() == 2
        assert recorded_algorithm(journal) == Counting()

    def test_another_class_is_refused(self, api: FakeAPI, tmp_path: Path) -> None:
        publish(api, run_to(tmp_path / "a", 2))
        journal = Journal(DirectoryStore(tmp_path / "b"), RUN)
        with pytest.raises(ParametersChanged, match="algorithm: Counting -> BitCount"):
            brought(api, journal, Wanted(algorithm=BitCount))
        assert not Path(journal.store.place).exists()

    def test_an_installed_algorithm_need_not_be_named(self, api: FakeAPI, tmp_path: Path) -> None:
        bits = BitCount(num_qubits=3, shots=20, sampler=RandomSampler())
        publish(api, run_to(tmp_path / "a", 1, algorithm=bits))
        journal = Journal(DirectoryStore(tmp_path / "b"), RUN)
        (said,) = brought(api, journal)
        assert "BitCount, seed 0: driver 1 by " in said
        assert recorded_algorithm(journal) == bits

    def test_what_is_signed_goes_before_what_is_not(self, api: FakeAPI, tmp_path: Path) -> None:
        publish(api, run_to(tmp_path / "a", 2))
        forge(api, RUN, newer_checkpoint)
        forge(api, f"{RUN}-run", newer_driver)
        forge(api, f"{RUN}-run", lambda data: data["record"].pop("uid"))
        journal = Journal(DirectoryStore(tmp_path / "b"), RUN)
        brought(api, journal, Wanted(algorithm=Counting))
        assert (journal.newest_good(), journal.newest_epoch()) == (2, 1)

    def test_of_an_unsigned_one_only_what_it_computes_is_taken(
        self, api: FakeAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        toy = Counting(factor=2.0, trace=str(tmp_path / "trace"))
        publish(api, run_to(tmp_path / "a", 2, algorithm=toy))
        monkeypatch.setenv("QCSC_LOOP_KEY_FILE", str(tmp_path / "another-machine"))
        journal = Journal(DirectoryStore(tmp_path / "b"), RUN)
        (said,) = brought(api, journal, Wanted(algorithm=Counting))
        assert "not signed with your key" in said
        assert (
            f"to {tmp_path / 'another-machine'} here, with mode 600, before you resume it" in said
        )
        assert recorded_algorithm(journal) == Counting(factor=2.0)
        run_to(tmp_path / "b", 4, algorithm=Counting(factor=2.0))
        assert journal.history()[-1].iteration == 4

    def test_of_several_runs_of_that_id_one_is_to_be_named(
        self, api: FakeAPI, tmp_path: Path
    ) -> None:
        one, other = run_to(tmp_path / "a", 2), run_to(tmp_path / "b", 3, seed=9)
        for run in (one, other):
            publish(api, run)
        journal = Journal(DirectoryStore(tmp_path / "c"), RUN)
        with pytest.raises(SeveralRuns, match="with seed 9") as refused:
            brought(api, journal, Wanted(algorithm=Counting))
        uid = one.record().uid[:8]
        assert f"--uid {uid}, begun" in str(refused.value)
        brought(api, journal, Wanted(algorithm=Counting, uid=uid))
        assert (journal.record().seed, journal.newest_good()) == (0, 2)

    @pytest.mark.parametrize("body", ["no JSON", "", "[" * 100_000, '{"array":"a0"'])
    def test_a_state_that_is_no_json_is_stepped_past(
        self, api: FakeAPI, tmp_path: Path, body: str
    ) -> None:
        publish(api, run_to(tmp_path / "a", 3))
        signer = Signer.of_this_person()
        (newest,) = [row for row in api.rows if row["data"] == api.texts(RUN)[-1]]
        data = json.loads(newest["data"])
        data["state"]["body"] = body
        data["commit"]["state_sha256"] = hashlib.sha256(body.encode()).hexdigest()
        data.pop("signature")
        newest["data"] = signer.sign(json.dumps(data))
        journal = Journal(DirectoryStore(tmp_path / "b"), RUN)
        brought(api, journal, Wanted(algorithm=Counting))
        assert journal.newest_good() == 2


class TestSignatures:
    TEXT = json.dumps({"energy": -1.0000000000000002, "name": "ü", "none": "NaN", "n": 2**70})

    def test_they_hold_for_what_was_signed_however_it_is_laid_out(self) -> None:
        signer = Signer(b"k" * 32)
        signed = signer.sign(self.TEXT)
        assert signer.is_ours(signed)
        assert signer.is_ours(json.dumps(json.loads(signed), indent=2, sort_keys=True))
        assert not Signer(b"x" * 32).is_ours(signed)
        assert not Signer(None).is_ours(signed)

    @pytest.mark.parametrize(
        "edit",
        [
            lambda data: data | {"energy": -1.0},
            lambda data: data | {"more": None},
            lambda data: {name: value for name, value in data.items() if name != "n"},
            lambda data: data | {"signature": None},
            lambda data: data | {"signature": "ü" * 64},
            lambda data: [data],
        ],
    )
    def test_they_do_not_hold_for_anything_else(self, edit: Callable[[Any], Any]) -> None:
        signer = Signer(b"k" * 32)
        assert not signer.is_ours(json.dumps(edit(json.loads(signer.sign(self.TEXT)))))

    @pytest.mark.guarantee("S3")
    def test_the_key_is_made_once_and_for_its_owner_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "private" / "key"
        monkeypatch.setenv("QCSC_LOOP_KEY_FILE", str(path))
        first, second = Signer.of_this_person(), Signer.of_this_person()
        assert second.is_ours(first.sign(self.TEXT))
        assert path.stat().st_mode & 0o077 == 0
        assert path.parent.stat().st_mode & 0o077 == 0

    @pytest.mark.guarantee("S3")
    @pytest.mark.parametrize(
        "spoil",
        [
            lambda path: path.chmod(0o640),
            lambda path: path.write_text("short"),
            lambda path: os.chown(path, NOBODY, NOBODY),
        ],
        ids=["read by others", "too short", "of another user"],
    )
    def test_a_key_that_others_may_know_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], object]
    ) -> None:
        monkeypatch.setenv("QCSC_LOOP_KEY_FILE", str(tmp_path / "key"))
        Signer.of_this_person()
        try:
            spoil(tmp_path / "key")
        except PermissionError:
            pytest.skip("to give a file away needs root")
        with pytest.raises(KeyNotPrivate, match="Remove it, and a new one is made"):
            Signer.of_this_person()

    def test_where_there_is_no_place_for_one_nothing_is_signed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setenv("QCSC_LOOP_KEY_FILE", str(tmp_path / "file" / "key"))
        signer = Signer.of_this_person()
        assert not signer.signs
        assert signer.sign(self.TEXT) == self.TEXT
