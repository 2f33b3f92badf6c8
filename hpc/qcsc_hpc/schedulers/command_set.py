"""How a site is asked about its jobs: data, for sites differ where their schedulers are the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from qcsc_hpc.profiles import HPCProfile, dialects


class CommandSet(BaseModel):
    """A dialect of `dialects.toml`.

    Attributes:
        form: of the answers to `status` and `history`.
        status: asks for jobs; their ids follow, or stand in the place of `{ids}`, with a `+` between.
        history: asks for those that `status` does not show any more; none: it shows all.
        again: what else may be asked about one job that the answers leave open.
        find: lists in which a job of the name `{name}` may be.
        takes_ids: the questions above can be about jobs; else they are for all of the user's.
        elements: words that follow the command where jobs may be elements of arrays.
        no_arrays: why there are none, and what to do; empty: there are.
        ids_a_question: how many jobs can be asked for at once.
        nothing: what is said where there is no such job, in small letters.
        zone: of the times in its answers; empty: this machine's.
        columns, states: the site's words in a table, where they are not the scheduler's.
        needed: columns without which a table is none.
        plain: the dialect to fall back to where a site does not take these options.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    form: Literal["json", "text"] = "text"
    status: list[str]
    history: list[str] = []
    again: list[list[str]] = []
    find: list[list[str]]
    takes_ids: bool = True
    elements: list[str] = []
    no_arrays: str = ""
    ids_a_question: int = 200
    nothing: str = ""
    zone: Literal["", "UTC"] = ""
    columns: dict[str, str] = {}
    states: dict[str, str] = {}
    needed: list[str] = []
    plain: str = ""

    def about(
        self, question: Sequence[str], ids: Sequence[str], *, elements: bool = False
    ) -> list[str]:
        """The question, for these jobs, elements of arrays among them."""
        if elements:
            place = next(i for i, word in enumerate(question) if "=" not in word and word != "env")
            question = [*question[: place + 1], *self.elements, *question[place + 1 :]]
        if any("{ids}" in word for word in question):
            return [word.replace("{ids}", "+".join(ids)) for word in question]
        return [*question, *(ids if self.takes_ids else [])]


def command_set(where: HPCProfile) -> CommandSet:
    """By which the site's scheduler is asked."""
    return CommandSet.model_validate(dialects()[where.scheduler][where.dialect])


def no_arrays(where: HPCProfile, commands: CommandSet) -> dict[str, str]:
    """Why a site has no arrays, as `Dialect.unsayable` has it."""
    return {"array": commands.no_arrays} if where.array and commands.no_arrays else {}
