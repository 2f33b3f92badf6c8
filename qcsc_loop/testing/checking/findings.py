"""What a check has found, as records."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Finding:
    """A way in which the contract is not kept.

    Attributes:
        check: what was tried.
        hook, iteration, part: what came out otherwise; part is a dotted name of a field.
        words: all of it, in a sentence.
    """

    check: str
    hook: str
    iteration: int
    part: str
    words: str


@dataclass
class Checked:
    """What a check has found.

    Attributes:
        done: the checks that were made, in words.
        findings: what is wrong; empty: nothing was found.
        notes: what the hooks ask of the world, though it has changed no bit here.
        kills: how often the run was killed.
        seconds: how long all of it took.
    """

    algorithm: str
    iterations: int
    done: list[str] = field(default_factory=list[str])
    findings: list[Finding] = field(default_factory=list[Finding])
    notes: list[str] = field(default_factory=list[str])
    kills: int = 0
    seconds: float = 0.0
