"""What a fake command says."""

from __future__ import annotations


class Answer:
    """Output, exit code, and how long it takes to come.

    Attributes:
        seconds: that the command hangs before it answers.
    """

    def __init__(
        self, output: str = "", error: str = "", rc: int = 0, *, seconds: float = 0.0
    ) -> None:
        self.output = output
        self.error = error
        self.rc = rc
        self.seconds = seconds


class Refused(Exception):
    """The command does not do it; it says this instead."""

    def __init__(self, error: str, rc: int, output: str = "") -> None:
        super().__init__(error)
        self.answer = Answer(output, error, rc)
