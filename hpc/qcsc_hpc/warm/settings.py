"""How a warm job lives, as settings of a machine."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Placement = Literal["job", "warm"]


class Warm(BaseModel):
    """One scheduler job that keeps its ranks waiting for a run's next request.

    Attributes:
        idle_seconds: without a request, after which it ends.
        reserve_seconds: at the end of its walltime, in which nothing is begun any more.
        fallback_seconds: that a request waits for it, before its work gets a job of its own.
        silent_seconds: without a sign of life from a job that the scheduler calls running, after
            which it is cancelled and replaced.
        tries: how often ranks may die in the middle of a request before that has FAILED.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    idle_seconds: float = Field(default=600.0, gt=0, title="Ends when idle for (s)")
    reserve_seconds: float = Field(default=60.0, ge=0, title="Begins nothing in its last (s)")
    fallback_seconds: float = Field(default=900.0, ge=0, title="A job of its own after (s)")
    silent_seconds: float = Field(default=120.0, gt=5, title="Replaced when silent for (s)")
    tries: int = Field(default=3, ge=1, title="Tries of a request whose ranks die")
