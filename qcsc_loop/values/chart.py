"""How a run is looked at: which number tells how far it is, and what to hold it against."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Chart(BaseModel):
    """What every view of a run puts first; declared on the state's class.

    Nothing of it changes a run: it may be edited while one goes on.

    Attributes:
        headline: the scalar that tells how far the run is; empty: the first one.
        better: which way it improves; "" where no value is better than another, and none is "best".
        unit: of the headline, for people, such as "hartree".
        beside: scalars that are shown right beside it.
        error: the scalar that is the headline's standard error; empty: there is none.
        references: a field or property of the state, or of one of its fields ("known.energies"): a
            mapping of name to value in the headline's unit, such as {"FCI": -76.1218}, NaN where one
            is not known; empty: there is none.

    Example:
        >>> class MyState(State):
        ...     chart: ClassVar[Chart] = Chart(headline="energy", better="lower", unit="hartree")
        ...     energy: float
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    headline: str = ""
    better: Literal["lower", "higher", ""] = ""
    unit: str = ""
    beside: tuple[str, ...] = ()
    error: str = ""
    references: str = ""
