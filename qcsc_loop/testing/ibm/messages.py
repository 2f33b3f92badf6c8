"""What goes over the wire, apart from how."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

# What JSON holds is checked where it is used.
from qcsc_loop.plain import Json


@dataclass(frozen=True)
class Request:
    """A request, whether it was sent to this server or through it as a proxy.

    Attributes:
        target: the path with its query.
        headers: by lower-case name.
    """

    method: str
    target: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Json:
        """The body.

        Raises:
            Refused: it is no JSON object.
        """
        try:
            value = json.loads(self.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise Refused(400, 1200, "The body is no JSON object.")
        return value

    def option(self, name: str, default: str = "") -> str:
        """The last value that the query has for a name."""
        return self.query.get(name, [default])[-1]


@dataclass(frozen=True)
class Answer:
    """An answer, and how it goes wrong.

    Attributes:
        seconds: how long it hangs before it is sent.
        sent: how much of the body is; the rest is announced, and then the connection ends.
        lost: the connection is reset instead.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    sent: int | None = None
    lost: bool = False


class Refused(Exception):
    """The service answers with an error."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def json_answer(value: object, status: int = 200) -> Answer:
    """An answer of JSON."""
    return Answer(status, json.dumps(value).encode())


def text_answer(text: str) -> Answer:
    """An answer of text; results are: QRMI takes nothing else for them."""
    return Answer(200, text.encode(), "text/plain; charset=utf-8")


def error_answer(status: int, code: int, message: str) -> Answer:
    """An error in the shape that the service has for them."""
    error = {"code": code, "message": message, "solution": "", "more_info": ""}
    return json_answer({"errors": [error], "trace": "0" * 32}, status)


DONE = Answer(204)
"""Nothing to say."""
