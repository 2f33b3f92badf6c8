"""Numbers as they are typed that something is held to: neither nan nor inf is one."""

from __future__ import annotations

import math
from typing import Any

import click


class Finite(click.FloatRange):
    """A finite number within bounds: no comparison with nan holds, and inf bounds nothing."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        # Any: as click has it, what was typed or a default
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is no finite number; give one such as 1.5.", param, ctx)
        return number


ABOVE_ZERO = Finite(0, min_open=True)
AT_LEAST_ZERO = Finite(0)
