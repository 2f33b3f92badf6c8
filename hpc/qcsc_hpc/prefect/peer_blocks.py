"""Blocks that qcsc-prefect has saved: what each of them is here.

Its execution profiles and HPC profiles have the same type on a server as ours. The former serve
both; the latter say `hpc_target`, which is none of ours, and are left as they are for those who go on
with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from prefect.client.orchestration import PrefectClient, get_client
from prefect.exceptions import ObjectNotFound
from pydantic import ValidationError

from qcsc_hpc.profiles import Command, ExecutionProfile, HPCProfile, presets
from qcsc_loop.errors import InvalidParameters
from qcsc_loop.plain import Json
from qcsc_loop.prefect.server import prefect_api

Settings = Command | ExecutionProfile | HPCProfile

HPC_PROFILE = "hpc-profile"
TARGET = "hpc_target"  # by which its HPC profiles are known
SUFFIX = "-loop"  # of the name of ours beside one of its

# its fields of an HPC profile that are called otherwise here
_RENAMED = {
    "slurm_qpu": "qpu",
    "slurm_extra_directives": "extra_directives",
    "pjm_resources": "resources",
}
# and those that say how a job runs, which is not the site's to say
_OF_A_JOB = {
    "slurm_memory": "give it as memory in the execution profile",
    "slurm_ntasks": "give nodes and ranks per node in the execution profile",
}
_SCHEDULERS = ("slurm", "local")  # the other targets are sites, as presets are
_GFSCACHE = "/vol0002"  # what it takes where none is given


@dataclass(frozen=True)
class Became:
    """What one of its blocks is here.

    Attributes:
        block: ours, `type/name`; of its HPC profiles, beside which ours is saved, another name.
        notes: what was not taken over, and what to do about it.
    """

    block: str
    settings: Settings
    notes: tuple[str, ...] = ()


def command_from(data: Mapping[str, Any]) -> tuple[Json, list[str]]:
    """Fields of a command, and what was left out."""
    return {**_known(data, Command), "description": data.get("description") or ""}, []


def execution_profile_from(data: Mapping[str, Any]) -> tuple[Json, list[str]]:
    """Fields of an execution profile, and what was left out."""
    return _known(data, ExecutionProfile), []


def hpc_profile_from(data: Mapping[str, Any]) -> tuple[Json, list[str]]:
    """Fields of an HPC profile, and what was left out."""
    given, notes = _known(data, HPCProfile), list[str]()
    target = str(data[TARGET])
    site = {"scheduler": target} if target in _SCHEDULERS else {"preset": target}
    scheduler = presets().get(target, site).get("scheduler")
    given |= site
    for name, ours in _RENAMED.items():
        if data.get(name):
            given[ours] = data[name]
    for name, cure in _OF_A_JOB.items():
        if data.get(name):
            notes.append(f"{name} = {data[name]}: {cure}")
    if scheduler == "pjm":
        given.setdefault("gfscache", _GFSCACHE)
    else:  # its form has fields of all targets, which it ignores on others
        for name in ("gfscache", "mpi_options_for_pjm"):
            given.pop(name, None)
    if target == "local":
        given = {k: v for k, v in given.items() if not k.startswith(("queue_", "project_"))}
    return given, notes


_Reader = Callable[[Mapping[str, Any]], tuple[Json, list[str]]]
# its types: ours, what to read one as, and how
KINDS: dict[str, tuple[str, type[Settings], _Reader]] = {
    "hpc-command": ("command", Command, command_from),
    "execution-profile": ("execution-profile", ExecutionProfile, execution_profile_from),
    HPC_PROFILE: ("hpc-profile", HPCProfile, hpc_profile_from),
}


def became(slug: str, name: str, data: Mapping[str, Any]) -> Became:
    """What a block of its type is here.

    Raises:
        InvalidParameters: its fields are none that can be had here.
    """
    ours, kind, read = KINDS[slug]
    given, notes = read(data)
    try:
        called = f"{name}{SUFFIX}" if slug == HPC_PROFILE else name
        return Became(f"{ours}/{called}", kind.model_validate(given), tuple(notes))
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors()]
        raise InvalidParameters(f"{slug}/{name}", problems, kind.model_fields) from error


async def peer_settings(ours: str, name: str) -> Settings | None:
    """What its block of that name is here; None if it has saved none."""
    slug = next(slug for slug, (type_, _, _) in KINDS.items() if type_ == ours)
    async with get_client() as client:
        try:
            saved = await client.read_block_document_by_name(name, slug, include_secrets=True)
        except ObjectNotFound:
            return None
    if not is_the_peers(slug, saved.data):
        return None
    return became(slug, name, saved.data).settings


def is_the_peers(slug: str, data: Mapping[str, Any]) -> bool:
    """Whether a document of a type that both have is its own."""
    return slug != HPC_PROFILE or TARGET in data


async def all_of_the_peers() -> list[Became | InvalidParameters]:
    """Each of its blocks on the server as it is here, or why it can be none."""
    with prefect_api():
        async with get_client() as client:
            found: list[Became | InvalidParameters] = []
            for slug, name, data in await _saved(client):
                try:
                    found.append(became(slug, name, data))
                except InvalidParameters as error:
                    found.append(error)
    return found


PAGE = 200  # more are refused


async def _saved(client: PrefectClient) -> list[tuple[str, str, Json]]:
    found: list[tuple[str, str, Json]] = []
    offset = 0
    while True:
        documents = await client.read_block_documents(
            limit=PAGE, offset=offset, include_secrets=True
        )
        for document in documents:
            kind = document.block_type
            if kind is None or kind.slug not in KINDS or document.name is None:
                continue
            if is_the_peers(kind.slug, document.data):
                found.append((kind.slug, document.name, document.data))
        if len(documents) < PAGE:
            return sorted(found, key=lambda one: one[:2])
        offset += PAGE


def _known(data: Mapping[str, Any], kind: type[Settings]) -> Json:
    return {name: data[name] for name in kind.model_fields if data.get(name) is not None}
