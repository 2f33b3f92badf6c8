"""What happens when a hook raises."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from qcsc_loop.parameters.forms import in_short

Hook = Literal["initialize", "sample", "evaluate", "update", "converged"]


class Retry(BaseModel):
    """How often a hook is called again after an error, and after which errors.

    Every attempt sees the same randomness, so that a run with a retried step has the same bits.

    Attributes:
        times: further attempts after the first.
        delay: seconds before the first further attempt.
        backoff: by what the delay grows from attempt to attempt.
        on: names of the exception classes to retry, as in `TimeoutError`; subclasses count.
            Empty: those that say of themselves that they are `transient`, and OS errors.
        hooks: the hooks this holds for; empty: all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=in_short)

    times: int = Field(default=0, ge=0)
    delay: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    backoff: float = Field(default=2.0, ge=1, allow_inf_nan=False)
    on: tuple[str, ...] = ()
    hooks: tuple[Hook, ...] = ()

    def wait(self, hook: str, error: BaseException, attempt: int) -> float | None:
        """Seconds to wait before the next attempt; None if there is none.

        Args:
            attempt: how many attempts failed before this one.
        """
        if attempt >= self.times or (self.hooks and hook not in self.hooks):
            return None
        return self.delay * self.backoff**attempt if self._covers(error) else None

    def _covers(self, error: BaseException) -> bool:
        if isinstance(error, BaseExceptionGroup):  # of parts that failed side by side
            return all(map(self._covers, error.exceptions))
        if not self.on:
            return bool(getattr(error, "transient", isinstance(error, OSError)))
        return any(cls.__name__ in self.on for cls in type(error).__mro__)
