"""`emit`: tells the Prefect server that something happened, so that its automations act on it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from uuid import uuid4

import anyio

from qcsc_loop.cli.quiet_prefect import quiet_prefect
from qcsc_loop.errors import InvalidParameters
from qcsc_loop.parameters.build import parse_settings
from qcsc_loop.plain import Json
from qcsc_loop.printing import say, say_json

_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+")
_OURS = "qcsc-loop."


@dataclass(frozen=True)
class Emitted:
    """An event that the server has.

    Attributes:
        about: the id of the resource it is about.
        awaited: whether anything on the server may act on it.
    """

    event: str
    id: str
    about: str
    payload: Json
    awaited: bool


def emit_event(
    *, name: str, payload: Sequence[str], about: str | None, once: str | None, as_json: bool
) -> None:
    """Sends one event, and says when the server has it.

    Raises:
        InvalidParameters: not a name for an event, or one that only runs may use.
        PrefectUnreachable: no server is configured, or it does not answer.
    """
    require_name(name)
    content = parse_settings(payload)
    quiet_prefect()
    from qcsc_loop.prefect.emitting import external_id, post_event

    sent = uuid4() if once is None else external_id(name, once)
    about = about or f"{name}.source"
    awaited = anyio.run(lambda: post_event(name, about, content, sent))
    if not awaited:
        say(
            f"nothing on the server waits for {name}: deploy or serve what it is to start, and then "
            "send it again",
            to_stderr=True,
        )
    if as_json:
        say_json(asdict(Emitted(name, str(sent), about, content, awaited)))
    else:
        say(f"the server has {name} ({sent})")


def require_name(name: str) -> None:
    """Refuses what is no name for an event from outside.

    Raises:
        InvalidParameters: it is none, or one that only runs may use.
    """
    if not _NAME.fullmatch(name):
        problem = f"{name!r} is no event's name: lower-case words with dots between them"
        raise InvalidParameters("emit", [problem], ["lab.calibrated", "data.arrived"])
    if name.startswith(_OURS):
        problem = f"{name!r}: events of {_OURS}… are a run's own to send"
        raise InvalidParameters("emit", [problem], ["lab.calibrated", "data.arrived"])
