"""`gc`: what of a store nobody needs any more, and its removal."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from qcsc_loop.parameters.environment import environment
from qcsc_loop.plain import Json
from qcsc_loop.printing import say, say_json
from qcsc_loop.reports.listing import parse_age
from qcsc_loop.reports.tables import PlainConsole, plain_table, wide_console
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.tidying import Found, Kind, Rules, find_rubbish, remove

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


@dataclass(frozen=True, kw_only=True)
class Collecting:
    """What was asked for.

    Attributes:
        run_ids: none: all runs.
        yes: it is removed, not only said.
    """

    run_ids: Sequence[str]
    yes: bool
    older: str | None
    keep: int | None
    store: Path | None
    as_json: bool


def collect(asked: Collecting) -> None:
    """Says what may go, and removes it where that was asked for.

    Raises:
        RunNotFound: a run that was named is not there.
        InvalidParameters: an age is none.
        StoreError: the store cannot be read, or something cannot be removed.
    """
    store = DirectoryStore(asked.store or environment().store)
    found = list(find_rubbish(store, _rules(asked), list(dict.fromkeys(asked.run_ids))))
    freed = sum(remove(store, each) for each in found) if asked.yes else 0
    if asked.as_json:
        say_json(_facts(store, found, freed))
        return
    console = wide_console()
    _show(console, [each for each in found if each.parts])
    _say_kept(console, [each for each in found if each.kept])
    whole, goes = sum(each.bytes for each in found), sum(each.freed for each in found)
    if asked.yes:
        say(f"{size(freed)} of {size(whole)} are removed")
    elif goes:
        say(f"{size(goes)} of {size(whole)} would go. To remove them: {_again(asked)}")
    else:
        say(f"nothing of {size(whole)} in {store.place} would go")


def _rules(asked: Collecting) -> Rules:
    if asked.older is not None:
        return Rules(older=parse_age(asked.older), keep=asked.keep)
    return Rules(older=timedelta(0) if asked.run_ids else Rules().older, keep=asked.keep)


def _show(console: PlainConsole, found: Sequence[Found]) -> None:
    if not found:
        return
    words = {"run", "what would go"}
    table = plain_table("run", "size", "goes", "what would go", left=words)
    for each in found:
        what = ", ".join(_counted(len(part.names), part.kind) for part in each.parts)
        name = each.run_id or "(interrupted imports)"
        table.add_row(name, size(each.bytes), size(each.freed), what)
    console.print(table)


def _counted(count: int, kind: Kind) -> str:
    plural = "es" if kind is Kind.MAILBOXES else "s"
    return f"{count} {kind.removesuffix(plural) if count == 1 else kind}"


def _say_kept(console: PlainConsole, found: Sequence[Found]) -> None:
    """How many runs are left alone, and why; which, where they are few."""
    for why, count in Counter(each.kept for each in found).most_common():
        names = ", ".join(each.run_id for each in found if each.kept == why)
        which = names if count <= 3 else f"{count} runs"
        console.say(f"left alone: {which}: {why}", style="dim")


def _again(asked: Collecting) -> str:
    words = ["qcsc-loop", "gc", *asked.run_ids]
    words += ["--older", asked.older] if asked.older is not None else []
    words += ["--keep", str(asked.keep)] if asked.keep is not None else []
    words += ["--store", str(asked.store)] if asked.store is not None else []
    return shlex.join([*words, "--yes"])


def size(count: int) -> str:
    """'812 B', '1.2 MB', '34 GB'."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    digits = 1 if unit and value < 9.95 else 0
    return f"{value:.{digits}f} {_UNITS[unit]}"


def _facts(store: DirectoryStore, found: Sequence[Found], freed: int) -> Json:
    return {
        "store": store.place,
        "bytes": sum(each.bytes for each in found),
        "would_free": sum(each.freed for each in found),
        "freed": freed,
        "runs": [
            {
                "run_id": each.run_id,
                "bytes": each.bytes,
                "would_free": each.freed,
                "kept": each.kept,
                "parts": [
                    {"kind": str(part.kind), "bytes": part.bytes, "names": list(part.names)}
                    for part in each.parts
                ],
            }
            for each in found
        ],
    }
