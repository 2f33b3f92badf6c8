"""How a site is asked about its jobs: data, for sites differ where their schedulers are the same."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from qcsc_hpc.profiles import HPCProfile, dialects


class CommandSet(BaseModel):
    """A dialect of `dialects.toml`.

    Attributes:
        form: of the answers to `status` and `history`.
        status: asks for jobs; their ids follow, or stand in the place of `{ids}`.
        history: asks for those that `status` does not show any more; none: it shows all.
        again: what else may be asked about one job that the answers leave open.
        find: lists in which a job of the name `{name}` may be.
        ids_a_question: how many jobs can be asked for at once.
        nothing: what is said where there is no such job, in small letters.
        zone: of the times in its answers; empty: this machine's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    form: Literal["json", "text"] = "text"
    status: list[str]
    history: list[str] = []
    again: list[list[str]] = []
    find: list[list[str]]
    ids_a_question: int = 200
    nothing: str = ""
    zone: Literal["", "UTC"] = ""


def command_set(where: HPCProfile) -> CommandSet:
    """By which the site's scheduler is asked."""
    return CommandSet.model_validate(dialects()[where.scheduler][where.dialect])
