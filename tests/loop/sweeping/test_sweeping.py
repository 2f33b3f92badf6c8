"""A sweep on its way: members once each, the budget kept, settings stopped, gone on with as one."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from loop.sweeping.walks import Walk, billed
from qcsc_loop.algorithm import AnyAlgorithm
from qcsc_loop.errors import InputError, SweepChanged, SweepLocked, SweepLost, SweepNotFound
from qcsc_loop.events import Event
from qcsc_loop.rules.stop import MaxIterations, Shots
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import Journal
from qcsc_loop.sweeping.events import (
    MemberBegan,
    MemberEnded,
    MemberEvent,
    MemberFailed,
    MemberWaits,
    SettingsStopped,
)
from qcsc_loop.sweeping.facts import SweepFacts, csv_of, facts_of
from qcsc_loop.sweeping.plan import Halving
from qcsc_loop.sweeping.sweep import Sweep, sweep, sweeps
from qcsc_loop.sweeping.sweep_journal import Granted, Lost, SweepJournal
from waiting import until_async


class Seen(list[Event]):
    """What was told of a sweep."""

    def take(self, event: Event) -> None:
        self.append(event)

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self if isinstance(event, kind)]


def run(
    store: Path, algorithm: AnyAlgorithm | Mapping[str, AnyAlgorithm] | None = None, **options: Any
) -> Sweep:
    """A sweep of two rates with three seeds."""
    given: dict[str, Any] = {"seeds": 3, "stop": MaxIterations(4), "name": "down"} | options
    if algorithm is None:
        given = {"grid": {"rate": [0.2, 0.6]}} | given
    call = partial(sweep, algorithm or Walk(), store=store, **given)
    return anyio.run(call)


def states(found: Sweep) -> dict[str, list[str]]:
    """The bits of every member."""
    return {each.run_id: [c.state_sha256 for c in each.journal.history()] for each in found.runs}


def test_every_member_is_an_ordinary_run_with_the_bits_that_it_has_alone(tmp_path: Path) -> None:
    found = run(tmp_path)
    assert found.status == "done"
    assert [each.run_id for each in found.runs][:2] == ["down-0-2-s0", "down-0-2-s1"]
    alone = partial(
        Walk(rate=0.6).run, store=DirectoryStore(tmp_path / "x"), seed=2, stop=MaxIterations(4)
    )
    assert found.runs[-1].journal.history()[-1].state_sha256 == anyio.run(alone).state_sha256


def test_a_row_has_the_median_and_the_range_over_seeds(tmp_path: Path) -> None:
    found = run(tmp_path)
    slow, quick = found.rows
    values = sorted(each.best.value for each in found.runs[:3] if each.best)
    assert (slow.lowest, slow.value, slow.highest) == tuple(values)
    assert (slow.values, slow.reference, slow.above) == (3, "floor", slow.value)
    assert slow.spent["shots"] == 40
    assert slow.against is None and quick.against is not None
    assert quick.against.paired.below == 3 and not quick.against.is_claimed


def test_no_more_go_at_once_than_were_said(tmp_path: Path) -> None:
    going, most = 0, 0

    def count(event: Event) -> None:
        nonlocal going, most
        going += isinstance(event, MemberBegan) - isinstance(event, MemberEnded)
        most = max(most, going)

    run(tmp_path, at_once=2, observers=[count])
    assert most == 2


def test_asked_for_again_nothing_is_done_again(tmp_path: Path) -> None:
    bill, seen = tmp_path / "bill", Seen()
    run(tmp_path / "s", Walk(bill=str(bill)))
    before = billed(bill)
    again = run(tmp_path / "s", Walk(bill=str(bill)), observers=[seen.take])
    assert (again.status, billed(bill), seen) == ("done", before, [])
    assert all(len(each.drivers) == 1 for each in again.runs)


def test_a_member_that_fails_leaves_the_others_and_is_tried_again(tmp_path: Path) -> None:
    seen = Seen()
    walks = {"good": Walk(rate=0.2), "bad": Walk(rate=0.6, fails=True)}
    found = run(tmp_path, walks, observers=[seen.take])
    assert found.status == "incomplete"
    assert found.message == "6 members: 3 done, 3 failed"
    assert all("it was told to fail" in event.why for event in seen.of(MemberFailed))
    assert [row.statuses for row in found.rows] == [{"done": 3}, {"failed": 3}]
    mended = run(tmp_path, {"good": Walk(rate=0.2), "bad": Walk(rate=0.6)})
    assert mended.status == "done"


def test_another_sweep_of_that_name_is_refused_with_what_differs(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(SweepChanged, match=r"shots: 10 -> 11.*qcsc-loop sweep down.*--name NEW"):
        run(tmp_path, Walk(shots=11), grid={"rate": [0.2, 0.6]})
    with pytest.raises(SweepChanged, match=r"2 members gone: rate=0.2, seed 2"):
        run(tmp_path, seeds=2)


def test_seeds_may_be_added_and_members_go_further(tmp_path: Path) -> None:
    before = states(run(tmp_path))
    found = run(tmp_path, seeds=4, stop=MaxIterations(5))
    after = states(found)
    assert len(after) == 8 and all(len(bits) == 6 for bits in after.values())
    assert all(after[run_id][:5] == bits for run_id, bits in before.items())


class TestBudget:
    COST: Any = {"iteration": {"shots": "shots"}}

    def test_it_is_never_exceeded_and_who_comes_first_is_served_first(self, tmp_path: Path) -> None:
        bill = tmp_path / "bill"
        found = run(tmp_path / "s", Walk(bill=str(bill)), budget={"shots": 95}, **self.COST)
        assert found.status == "incomplete"
        assert billed(bill) == 90
        assert [each.iteration for each in found.runs] == [4, 4, 1]

    def test_it_goes_on_where_there_is_more(self, tmp_path: Path) -> None:
        walk = Walk(rate=0.2)
        run(tmp_path, walk, budget={"shots": 95}, **self.COST)
        found = run(tmp_path, walk, budget={"shots": 200}, **self.COST)
        assert found.status == "done"
        assert states(found) == states(run(tmp_path / "free", walk))

    @pytest.mark.parametrize("at_once", [1, 3, 6])
    def test_who_gets_what_depends_on_no_pace(self, tmp_path: Path, at_once: int) -> None:
        walks = {"ends": Walk(goal=0.5), "goes on": Walk(rate=0.1)}
        found = run(tmp_path, walks, budget={"shots": 130}, at_once=at_once, **self.COST)
        facts = [(m["run_id"], m["iteration"], m["status"]) for m in found.facts["members"]]
        assert found.facts["spent"]["shots"] <= 130
        alone = run(tmp_path / "one", walks, budget={"shots": 130}, at_once=1, **self.COST)
        assert facts == [(m["run_id"], m["iteration"], m["status"]) for m in alone.facts["members"]]

    def test_what_a_killed_attempt_may_have_spent_is_counted(self, tmp_path: Path) -> None:
        bill, gate = tmp_path / "bill", tmp_path / "gate"
        walk = Walk(bill=str(bill), gate=str(gate))

        async def cancelled() -> None:
            async with anyio.create_task_group() as tasks:
                call = partial(
                    sweep, walk, name="down", store=tmp_path / "s", stop=MaxIterations(4),
                    budget={"shots": 40}, iteration={"shots": 10},
                )  # fmt: skip
                tasks.start_soon(call)
                await until_async(bill.exists, "a sample is begun")
                tasks.cancel_scope.cancel()

        anyio.run(cancelled)
        gate.touch()
        found = run(tmp_path / "s", walk, seeds=1, budget={"shots": 40}, iteration={"shots": 10})
        assert billed(bill) == 40
        assert found.runs[0].iteration == 3
        assert found.facts["lost"] == {"shots": 10}
        lines = list(SweepJournal(DirectoryStore(tmp_path / "s"), "down").decisions())
        assert next(line.amounts for line in lines if isinstance(line, Lost)) == {"shots": 10.0}

    def test_it_is_reserved_on_disk_before_a_member_begins(self, tmp_path: Path) -> None:
        store, reserved = DirectoryStore(tmp_path), list[bool]()

        def look(event: Event) -> None:
            if isinstance(event, MemberBegan):
                lines = SweepJournal(store, "down").decisions()
                granted = {line.run_id for line in lines if isinstance(line, Granted)}
                reserved.append(event.run_id in granted)

        run(tmp_path, budget={"shots": 1000}, observers=[look], **self.COST)
        assert reserved == [True] * 6

    def test_who_costs_more_than_was_said_is_held_to_what_was_granted(self, tmp_path: Path) -> None:
        """Its first iteration can be known by nobody; nothing is begun after it."""
        bill, seen = tmp_path / "bill", Seen()
        dear = Walk(shots=30, bill=str(bill))
        options: Any = {"grid": {"rate": [0.2, 0.6]}, "at_once": 1, "iteration": {"shots": 10}}
        found = run(tmp_path / "s", dear, budget={"shots": 40}, observers=[seen.take], **options)
        assert billed(bill) == 30
        assert found.message == "6 members: 6 no budget left"
        said = "an iteration of down-0-2-s0 cost 30 shots, and 10 were said to be the most"
        whys = {member["why"] for member in found.facts["members"]}
        assert whys == {f"{said}: nothing more is granted"}
        assert all(said in event.because for event in seen.of(MemberEnded))
        (warning,) = found.facts["warnings"]
        assert warning == f"{said}: nothing more is granted until `iteration` says what it costs"

        again = run(tmp_path / "s", dear, budget={"shots": 1000}, **options)
        assert (billed(bill), again.message) == (30, found.message)
        mended: Any = options | {"iteration": {"shots": 30}, "budget": {"shots": 720}}
        done = run(tmp_path / "s", dear, **mended)
        assert (done.status, billed(bill), done.facts["warnings"]) == ("done", 720, [])
        assert states(done) == states(run(tmp_path / "free", dear, grid=options["grid"]))

    def test_those_that_go_at_once_stay_below_what_was_granted_to_each(
        self, tmp_path: Path
    ) -> None:
        bill = tmp_path / "bill"
        dear = Walk(shots=30, bill=str(bill))
        run(tmp_path / "s", dear, grid={"rate": [0.2]}, budget={"shots": 150}, at_once=3,
            iteration={"shots": 10})  # fmt: skip
        assert billed(bill) == 90  # each has 50, and two iterations would be 60

    @pytest.mark.parametrize("amount", ["shots", "qpu_seconds", "node_hours"])
    def test_every_amount_bounds_a_member(self, tmp_path: Path, amount: str) -> None:
        pays = Walk(pays={amount: 3.0})
        found = run(tmp_path, pays, seeds=1, grid={"rate": [0.2]}, budget={amount: 2.0},
                    iteration={amount: 1.0})  # fmt: skip
        assert found.runs[0].iteration == 1
        assert f"cost 3 {amount}, and 1 were said" in found.facts["members"][0]["why"]
        assert f"3 {amount} are spent of 2: an iteration cost more" in found.facts["warnings"][1]

    @pytest.mark.parametrize("limit", [35.0, 40.0, 45.0])
    def test_a_budget_of_its_own_is_a_members_end(self, tmp_path: Path, limit: float) -> None:
        stop = MaxIterations(9) | Shots(limit)
        found = run(tmp_path, stop=stop, budget={"shots": 600}, **self.COST)
        assert found.status == "done"
        assert {each.iteration for each in found.runs} == {int(limit) // 10}

    def test_a_budget_that_is_lowered_later_is_no_ones_fault(self, tmp_path: Path) -> None:
        run(tmp_path, budget={"shots": 1000}, **self.COST)
        found = run(tmp_path, budget={"shots": 100}, **self.COST)
        assert found.status == "done"
        said = "240 shots are spent of 100: the budget is lower than it was when they were"
        assert found.facts["warnings"] == [f"{said} (it was 1,000)"]

    def test_nor_is_one_that_there_was_not_before(self, tmp_path: Path) -> None:
        run(tmp_path)
        found = run(tmp_path, budget={"shots": 100}, **self.COST)
        assert found.facts["warnings"][0].endswith("than it was when they were (there was none)")

    def test_a_member_that_is_driven_singly_may_spend_more(self, tmp_path: Path) -> None:
        found = run(tmp_path, budget={"shots": 240}, **self.COST)
        anyio.run(lambda: found.runs[0].resume(stop=MaxIterations(5)))
        (warning,) = found.facts["warnings"]
        assert warning.endswith("or a member was driven outside the sweep")


class TestHalving:
    GRID: Any = {"grid": {"rate": [0.1, 0.7, 0.3, 0.5]}, "halving": Halving(first=1)}

    def test_settings_that_cannot_win_are_stopped_at_equal_cost(self, tmp_path: Path) -> None:
        seen = Seen()
        found = run(tmp_path, Walk(), stop=MaxIterations(6), observers=[seen.take], **self.GRID)
        stopped = [set(event.settings) for event in seen.of(SettingsStopped)]
        assert stopped == [{"rate=0.1", "rate=0.3"}, {"rate=0.5"}]
        iterations = {m.member.setting: m.view.iteration for m in found.standing.members if m.view}
        assert iterations == {"rate=0.1": 1, "rate=0.3": 1, "rate=0.5": 2, "rate=0.7": 6}
        assert found.status == "done"

    def test_gone_on_with_it_decides_the_same(self, tmp_path: Path) -> None:
        whole = run(tmp_path / "whole", Walk(), stop=MaxIterations(6), **self.GRID)

        async def ended_after(events: int) -> None:
            seen, call = Seen(), partial(sweep, Walk(), name="down", store=tmp_path / "s", seeds=3)
            async with anyio.create_task_group() as tasks:
                options: Any = {"stop": MaxIterations(6), "observers": [seen.take], **self.GRID}
                tasks.start_soon(partial(call, **options))
                await until_async(lambda: len(seen.of(MemberEvent)) >= events, "it has begun")
                tasks.cancel_scope.cancel()

        for events in (40, 60, 60):
            anyio.run(ended_after, events)
        found = run(tmp_path / "s", Walk(), stop=MaxIterations(6), **self.GRID)
        assert states(found) == states(whole)
        assert found.facts["stopped"] == whole.facts["stopped"]

    def test_at_equal_shots_a_dear_setting_has_fewer_iterations(self, tmp_path: Path) -> None:
        walks = {"dear": Walk(shots=20), "cheap": Walk(shots=10)}
        halving = Halving(first=40, cost="shots")
        found = run(tmp_path, walks, seeds=1, stop=MaxIterations(8), halving=halving)
        rung = found.facts["stopped"][0]
        dear, cheap = found.runs
        assert rung["values"]["dear"] == min(dear.history["height"][:3])
        assert rung["values"]["cheap"] == min(cheap.history["height"][:5])

    def test_a_setting_without_a_finite_headline_loses(self, tmp_path: Path) -> None:
        walks = {"nan": Walk(nan=True), "fine": Walk(rate=0.01)}
        found = run(tmp_path, walks, stop=MaxIterations(3), halving=Halving(first=2))
        assert found.facts["stopped"][0]["settings"] == ["nan"]

    BAD: Any = {"bad": Walk(rate=0.66, fails=True)}
    FINE: Any = {str(rate): Walk(rate=rate) for rate in (0.3, 0.2, 0.1)}
    SINGLE: Any = {"seeds": 1, "at_once": 8, "stop": MaxIterations(7), "halving": Halving(first=2)}

    def test_a_failed_member_is_the_worst_there_is(self, tmp_path: Path) -> None:
        """However good it was when it failed."""
        found = run(tmp_path, self.BAD | self.FINE, **self.SINGLE)
        facts, (bad, *fine) = found.facts, found.standing.members
        assert bad.value < min(each.value for each in fine[1:])
        assert [each["settings"] for each in facts["stopped"]] == [["bad", "0.1"], ["0.2"]]
        assert facts["stopped"][0]["values"]["bad"] == "nan"
        assert (found.status, found.message) == (
            "incomplete",
            "4 members: 1 done, 2 stopped, 1 failed",
        )
        assert "it was told to fail" in facts["members"][0]["why"]
        row = facts["rows"][0]
        assert (row["values"], row["median"], row["lowest"]) == (0, "nan", "nan")

    def test_that_is_stopped_it_is_tried_again_as_far_as_its_setting_went(
        self, tmp_path: Path
    ) -> None:
        stopped = run(tmp_path, self.BAD | self.FINE, **self.SINGLE).facts["stopped"]
        bills = {label: Walk(rate=walk.rate, bill=str(tmp_path / "bill"))
                 for label, walk in (self.BAD | self.FINE).items()}  # fmt: skip
        found = run(tmp_path, bills, **self.SINGLE)
        assert (found.status, found.facts["stopped"]) == ("done", stopped)
        assert [m["iteration"] for m in found.facts["members"]] == [2, 7, 4, 2]
        assert billed(tmp_path / "bill") == 10

    def test_where_all_members_fail_nothing_is_stopped(self, tmp_path: Path) -> None:
        """An error in the algorithm says nothing of its settings, and a decision stays."""
        walks = {str(rate): Walk(rate=rate, fails=True) for rate in (0.1, 0.2, 0.3)}
        found = run(tmp_path, walks, **self.SINGLE)
        assert (found.message, found.facts["stopped"]) == ("3 members: 3 failed", [])
        mended = run(
            tmp_path, {label: Walk(rate=w.rate) for label, w in walks.items()}, **self.SINGLE
        )
        assert mended.status == "done"
        assert mended.facts["stopped"][0]["settings"] == ["0.1"]

    def test_a_member_without_budget_is_waited_for(self, tmp_path: Path) -> None:
        """It has not come to where the others are, and may yet."""
        walks = {"slow": Walk(rate=0.01), "quick": Walk(rate=0.6)}
        options: Any = {**self.SINGLE, "iteration": {"shots": "shots"}}
        found = run(tmp_path / "s", walks, budget={"shots": 30}, **options)
        assert found.message == "2 members: 1 between rungs, 1 no budget left"
        assert found.facts["stopped"] == []
        more = run(tmp_path / "s", walks, budget={"shots": 1000}, **options)
        assert (more.status, more.facts["stopped"][0]["settings"]) == ("done", ["slow"])

    @pytest.mark.parametrize("most", [8, 7, 5, 2])
    def test_the_last_ones_are_done_at_a_rung_beyond_their_own_limit(
        self, tmp_path: Path, most: int
    ) -> None:
        walks = {f"{k}": Walk(rate=0.08 * (k + 1)) for k in range(8)}
        seen, options = Seen(), {**self.SINGLE, "seeds": 2, "stop": MaxIterations(most)}
        found = run(tmp_path, walks, observers=[seen.take], **options)
        assert (found.status, found.message) == ("done", "16 members: 2 done, 14 stopped")
        assert found.facts["next"] == ""
        rungs = {end.at_rung for end in seen.of(MemberEnded) if end.iteration == most}
        assert rungs == {None}


class TestSeveralDrivers:
    def test_a_second_one_is_refused_and_told_how_to_look_on(self, tmp_path: Path) -> None:
        gate = tmp_path / "gate"
        walk = Walk(gate=str(gate))

        said: list[str] = []

        async def both() -> None:
            call = partial(sweep, walk, name="down", store=tmp_path / "s", stop=MaxIterations(1))
            seen = Seen()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(call, observers=[seen.take]))
                await until_async(lambda: seen.of(MemberEvent), "a member goes on")
                with pytest.raises(SweepLocked) as refused:
                    await call()
                said.append(str(refused.value))
                gate.touch()

        anyio.run(both)
        assert "the sweep 'down' is being driven by process" in said[0]
        assert "qcsc-loop sweep show down" in said[0]
        assert Sweep("down", store=tmp_path / "s").status == "done"

    def test_taken_over_the_old_one_ends_and_the_new_one_goes_on(self, tmp_path: Path) -> None:
        gate = tmp_path / "gate"
        walk = Walk(gate=str(gate))

        async def both() -> list[type[BaseException]]:
            call = partial(sweep, walk, name="down", store=tmp_path / "s", stop=MaxIterations(2))
            seen, ended = Seen(), list[type[BaseException]]()

            async def old() -> None:
                try:
                    await call(observers=[seen.take])
                except SweepLost as error:
                    ended.append(type(error))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(old)
                await until_async(lambda: seen.of(MemberEvent), "a member goes on")
                tasks.start_soon(partial(call, take_over=True))
                await until_async(lambda: ended, "the old one has seen it")
                gate.touch()
            return ended

        assert anyio.run(both) == [SweepLost]
        assert Sweep("down", store=tmp_path / "s").status == "done"

    def test_a_member_that_is_driven_singly_is_waited_for(self, tmp_path: Path) -> None:
        gate, store = tmp_path / "gate", DirectoryStore(tmp_path / "s")
        walk = Walk(gate=str(gate))

        async def both() -> Seen:
            seen, held = Seen(), Seen()
            single = partial(
                walk.run, store=store, run_id="down-s0", stop=MaxIterations(2),
                observers=[held.take],
            )  # fmt: skip
            call = partial(
                sweep, walk, name="down", store=store, stop=MaxIterations(4), observers=[seen.take]
            )
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(single)
                await until_async(lambda: held, "somebody drives it")
                tasks.start_soon(call)
                await until_async(lambda: seen.of(MemberWaits), "the sweep waits for it")
                gate.touch()
            return seen

        seen = anyio.run(both)
        assert "being driven by process" in seen.of(MemberWaits)[0].why
        assert Sweep("down", store=store).runs[0].iteration == 4


class TestFacts:
    def test_they_are_of_the_documented_form(self, tmp_path: Path) -> None:
        found = run(tmp_path)
        read = json.loads(json.dumps(found.facts, allow_nan=False))
        assert SweepFacts.model_validate(read) == facts_of(found.standing)
        assert read["rows"][1]["paired"]["seeds_at_least"] == 6

    def test_nan_is_a_string_and_is_said(self, tmp_path: Path) -> None:
        found = run(tmp_path, Walk(nan=True), stop=MaxIterations(2), seeds=1)
        read = json.loads(json.dumps(found.facts, allow_nan=False))
        assert read["members"][0]["value"] == 1.0  # of its beginning
        assert math.isnan(found.runs[0].headline)

    def test_every_name_is_in_the_documentation(self) -> None:
        page = Path(__file__).parents[3].joinpath("docs/sweeps.md").read_text()
        schema = SweepFacts.model_json_schema()
        parts = [schema, *schema["$defs"].values()]
        names = {name for part in parts for name in part.get("properties", {})}
        assert {name for name in names if f"`{name}`" not in page} == set()

    def test_a_table_has_a_row_a_member(self, tmp_path: Path) -> None:
        lines = csv_of(facts_of(run(tmp_path).standing)).splitlines()
        assert lines[0] == (
            "run_id,group,setting,seed,status,iteration,value,shots,qpu_seconds,node_hours"
        )
        assert len(lines) == 7 and lines[1].startswith("down-0-2-s0,walk,rate=0.2,0,done,4,0.")


def test_changed_code_among_the_members_is_said(tmp_path: Path) -> None:
    run(tmp_path, seeds=1)
    journal = Journal(DirectoryStore(tmp_path), "down-0-2-s0")
    record = journal.record()
    provenance = {**record.provenance, "source_sha256": "another"}
    journal.mend(record.model_copy(update={"provenance": provenance}))
    warnings = Sweep("down", store=tmp_path).facts["warnings"]
    assert len(warnings) == 1 and "2 versions of their algorithm's file" in warnings[0]


def test_a_store_lists_its_sweeps_and_no_run_is_one(tmp_path: Path) -> None:
    run(tmp_path, seeds=1)
    run(tmp_path, seeds=1, name="other")
    assert [each.name for each in sweeps(tmp_path)] == ["down", "other"]
    with pytest.raises(SweepNotFound, match=r"no sweep 'dwon' in .*did you mean 'down'"):
        Sweep("dwon", store=tmp_path)


def test_one_that_is_damaged_is_named_and_the_others_are_listed(tmp_path: Path) -> None:
    run(tmp_path, seeds=1)
    run(tmp_path, seeds=1, name="other")
    plan = tmp_path / "_sweeps" / "down" / "plan-0001.json"
    plan.write_text(plan.read_text().replace('"at_once":4', '"at_once":null'))
    with pytest.warns(UserWarning, match="the sweep 'down' is left out: .*plan-0001 is damaged"):
        found = sweeps(tmp_path)
    assert [each.name for each in found] == ["other"]


def test_a_plan_that_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    found = run(tmp_path, seeds=1)
    lease = SweepJournal(DirectoryStore(tmp_path), "down").claim()
    wrong = found.plan.model_copy(update={"at_once": 0})
    with pytest.raises(InputError, match="'down' cannot be kept: at_once: Input should be"):
        lease.keep(wrong)
    assert Sweep("down", store=tmp_path).plan == found.plan


def test_a_page_that_cannot_be_written_there_says_nothing_of_the_store(tmp_path: Path) -> None:
    found = run(tmp_path / "s", seeds=1)
    with pytest.raises(InputError, match=r"cannot be written: No such file.*in a folder that is"):
        found.report(tmp_path / "nope" / "x.html")
