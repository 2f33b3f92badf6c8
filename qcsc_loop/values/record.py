"""Records that pass between the hooks: frozen, compared by content, stored exactly."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from qcsc_loop.values.arrays import NDArray, refuse_plain_arrays
from qcsc_loop.values.chart import Chart
from qcsc_loop.values.codec import Codec

__all__ = ["Chart", "NDArray", "Record", "State"]


class Record(BaseModel):
    """Base of what hooks hand to each other. Fields may be `NDArray`.

    Frozen, with arrays copied and read-only; two records are equal when their contents are, NaN
    included. Build a changed one with the constructor, which validates, not with `model_copy`.
    Sets, secrets, what can be read once only, private attributes and excluded fields are refused:
    a store would lose them, or give them back in another order; so is a value that a union would
    give back as another of its types. What is in `Any` is read back as JSON has it, a tuple as a
    list. A complex number (not an array of them) loses the sign of a zero real part.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        ser_json_inf_nan="strings",
        # a subclass's further fields would be lost in storing: refuse it where its base is declared
        revalidate_instances="subclass-instances",
    )

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        refuse_plain_arrays(cls)

    def _content(self) -> bytes:
        return Codec[Record](type(self)).content(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record) or type(self) is not type(other):
            return NotImplemented
        return self is other or self._content() == other._content()

    def __hash__(self) -> int:
        return hash(self._content())


class State(Record):
    """Base of an algorithm's state: all that one iteration hands to the next.

    Attributes:
        chart: how a run of it is looked at.
    """

    chart: ClassVar[Chart] = Chart()

    def scalars(self) -> dict[str, float]:
        """The numbers worth watching; the first one is the run's headline.

        They go into every checkpoint's record, are kept for ever, and feed the stop rules and the
        convergence curve. By default every int, float and bool field, in order of declaration.
        """
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {k: _as_float(v) for k, v in values.items() if isinstance(v, int | float)}


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an int beyond 1e308
        return math.inf if value > 0 else -math.inf
