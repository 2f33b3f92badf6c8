"""A sweep that is asked for again: what of it may be otherwise, and what makes it another one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from qcsc_loop.catalog import AlgorithmType
from qcsc_loop.errors import SweepChanged
from qcsc_loop.parameters.build import build
from qcsc_loop.parameters.compare import find_differences
from qcsc_loop.sweeping.plan import Member, Plan


def reconcile(
    was: Plan, now: Plan, kinds: Mapping[str, AlgorithmType], *, has_stopped: bool
) -> Plan:
    """The plan to go on with: as it is asked for now, with the members' ids as they were.

    How many go at once, the budget, members' own stop rules, deployments and parameters that change
    no results may change; members may be added. With a halving rule, by which settings were stopped
    already, only the former.

    Args:
        kinds: the algorithms of `now`, by reference.
        has_stopped: settings were stopped by the rule.

    Raises:
        SweepChanged: it is another sweep.
    """
    changes = list(_changes(was, now, kinds, has_stopped=has_stopped))
    if changes:
        raise SweepChanged(was.name, changes)
    ids = {member.key: member.run_id for member in was.members}
    members = tuple(
        member.model_copy(update={"run_id": ids.get(member.key, member.run_id)})
        for member in now.members
    )
    return now.model_copy(update={"members": members, "created": was.created})


def _changes(
    was: Plan, now: Plan, kinds: Mapping[str, AlgorithmType], *, has_stopped: bool
) -> Iterator[str]:
    before = {member.key: member for member in was.members}
    after = {member.key: member for member in now.members}
    gone = [member for key, member in before.items() if key not in after]
    if gone:
        yield f"{_count(len(gone))} gone: {_named(gone[0])}"
    added = [member for key, member in after.items() if key not in before]
    if added and has_stopped:
        yield f"{_count(len(added))} more, and settings were stopped without them: {_named(added[0])}"
    said: set[str] = set()
    for key, member in after.items():
        if key in before:
            for words in _differences(before[key], member, kinds, has_stopped=has_stopped):
                if words not in said:
                    said.add(words)
                    yield words
    if has_stopped and was.halving != now.halving:
        yield f"halving: {was.halving} -> {now.halving}"


def _differences(
    was: Member, now: Member, kinds: Mapping[str, AlgorithmType], *, has_stopped: bool
) -> Iterator[str]:
    before, after = (member.algorithm.rpartition(":")[2] for member in (was, now))
    if before != after:
        yield f"algorithm: {before} -> {after}"
        return
    built = build(kinds[now.algorithm], now.parameters)
    for name, (old, new) in find_differences(built, was.parameters).items():
        yield f"{name}: {old} -> {new}"
    if has_stopped and was.stop != now.stop:
        yield "stop: a halving rule has compared members that stop as they did"


def _count(number: int) -> str:
    return f"{number} member{'' if number == 1 else 's'}"


def _named(member: Member) -> str:
    return f"{member.setting}, seed {member.seed}"
