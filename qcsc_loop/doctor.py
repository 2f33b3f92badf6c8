"""Does this installation do what a run needs? Checks that any distribution can add to.

A check is a function from `Request` to findings, offered under the entry point group
`qcsc_loop.doctor`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from qcsc_loop.errors import PluginFailed, QcscLoopError
from qcsc_loop.loop.provenance import PACKAGES, installed_version
from qcsc_loop.plugins import GROUPS, OURS, distribution, load, load_all, offered
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.values.document import Document

GROUP = "qcsc_loop.doctor"
FASTAPI_LIMIT = (0, 151)  # newer ones refuse what Prefect's own listings ask


@dataclass(frozen=True)
class Request:
    """What is to be examined.

    Attributes:
        machine: the name of a saved machine, or `local`.
    """

    store: Path
    ranks: int
    machine: str = "local"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        cure: what to do, if it is not well.
    """

    what: str
    well: bool
    fact: str
    cure: str = ""


Check = Callable[[Request], Iterable[Finding]]


def findings(request: Request) -> Iterator[Finding]:
    """What every installed check finds; a check that itself fails is a finding."""
    for point in offered(GROUP).values():
        try:
            check: Check = load(point)
            yield from check(request)
        except PluginFailed:  # the check of plug-ins has it
            continue
        except Exception as error:  # a doctor must not fall ill
            yield Finding(point.name, False, f"{type(error).__name__}: {error}", "report this")


def plug_ins(_: Request) -> Iterator[Finding]:
    """What other distributions offer, and what of it, or of ours, cannot be imported."""
    for group in GROUPS:
        loaded = load_all(group)
        names: dict[str, list[str]] = {}
        for point, _offer in loaded.objects:
            names.setdefault(distribution(point), []).append(point.name)
        for whose, its in sorted(names.items()):
            if whose != OURS:
                yield Finding(f"plug-ins of {whose}", True, f"{group}: {', '.join(sorted(its))}")
        for failure in loaded.failures:
            cure = f"mend or remove it: pip uninstall {failure.distribution}"
            yield Finding(f"plug-ins of {failure.distribution}", False, str(failure), cure)


def versions(_: Request) -> Iterator[Finding]:
    """The packages a run depends on."""
    for name in PACKAGES:
        version = installed_version(name)
        yield Finding(name, version is not None, version or "missing", f"pip install {name}")
    fastapi = installed_version("fastapi") or "0"
    numbers = tuple(int(part) for part in fastapi.split(".")[:2])
    yield Finding(
        "fastapi",
        numbers < FASTAPI_LIMIT,
        fastapi,
        "Prefect's server needs: pip install 'fastapi<0.151'",
    )


def store(request: Request) -> Iterator[Finding]:
    """Whether the store's disk does what durable commits rest on."""
    place = DirectoryStore(request.store)
    name = f".doctor-{os.getpid()}"
    cure = "name another folder with --store or QCSC_LOOP_STORE"
    try:
        place.write(f"{name}/document", Document(b"1"))
        place.write(f"{name}/document", Document(b"2"))
        replaced = place.read(f"{name}/document").body == b"2"
        first = place.create(f"{name}/once", Document(b"1"))
        second = place.create(f"{name}/once", Document(b"2"))
        place.append(f"{name}/log", [b"line"])
        place.touch(f"{name}/beat")
        beats = place.age(f"{name}/beat") is not None
    except QcscLoopError as error:
        yield Finding("store", False, str(error), cure)
        return
    finally:
        with contextlib.suppress(QcscLoopError):
            place.remove(name)
    yield Finding("store", True, f"{place.place} is writable")
    yield Finding("store: atomic rename", replaced, "yes" if replaced else "no", cure)
    once = first and not second
    yield Finding("store: exclusive link", once, "yes" if once else "no", cure)
    yield Finding("store: time stamps", beats, "yes" if beats else "no", cure)
