"""What a Prefect server can keep, asked before it is given more.

Of an event that is too large it says that it has it, and drops it; of a parameter beyond 64 bits it
says nothing, and cannot list its flow runs from then on. The limits of size are the server's
settings; where it runs elsewhere they are taken to be what this process has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from prefect.settings import get_current_settings

from qcsc_loop.plain import Json

LARGEST, SMALLEST = 2**64 - 1, -(2**63)  # of the integers that its JSON encoder writes
WORDS = 2000  # of a text in an event that would be too large with all of it


def event_bytes() -> int:
    """Of the largest event."""
    return int(get_current_settings().server.events.maximum_size_bytes)


def parameter_bytes() -> int:
    """Of the largest parameters of a flow run or deployment, as JSON; 0: any."""
    return int(get_current_settings().server.api.max_parameter_size)


def size(value: object) -> int:
    """Bytes as JSON."""
    return len(json.dumps(value).encode())


def parameter_problems(parameters: Json) -> list[str]:
    """Why a server could not keep parameters; empty if it can."""
    problems = [
        f"{name}: a Prefect server has integers of 64 bits, and this one has {value.bit_length()}"
        for name, value in _too_long(parameters)
    ]
    most, found = parameter_bytes(), size(parameters)
    if most and found > most:
        name = max(_leaves(parameters), key=lambda leaf: size(leaf[1]))[0]
        problems.append(
            f"{name}: with it the parameters have {found:,} bytes, and a Prefect server keeps "
            f"{most:,}; put it into a file, and give the file's name"
        )
    return problems


def shown_parameters(parameters: Json) -> Json:
    """Parameters as a server can show them, of a run whose record has them whole."""
    shown: Json = _with_short_integers(parameters)
    most = parameter_bytes()
    for name in sorted(shown, key=lambda name: size(shown[name]), reverse=True):
        if not most or size(shown) <= most // 2:  # there is another parameter beside these
            break
        shown[name] = f"({size(shown[name]):,} bytes: in the run's record)"
    return shown


def event_problems(payload: Json) -> list[str]:
    """Why a server could not keep an event's payload; empty if it can."""
    problems = [
        f"--payload {name}: a Prefect server has integers of 64 bits, and this one has "
        f"{value.bit_length()}"
        for name, value in _too_long(payload)
    ]
    most, found = event_bytes(), size(payload)
    if found > most - _ENVELOPE:
        problems.append(
            f"--payload: {found:,} bytes, and a Prefect server drops events of more than {most:,} "
            "without a word; put it into a file, and send the file's name"
        )
    return problems


_ENVELOPE = 20_000  # of an event beside its payload: names, labels, ids


def fitting_payload(payload: Json) -> Json:
    """A run's own event, short enough to be kept: texts are cut, tables left out."""
    fitting: Json = _with_short_integers(payload)
    if size(fitting) <= event_bytes() - _ENVELOPE:
        return fitting
    return {
        name: f"{value[:WORDS]}..." if isinstance(value, str) and len(value) > WORDS else value
        for name, value in fitting.items()
        if isinstance(value, str) or size(value) <= WORDS
    }


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        inner: Json = value
        for key, each in inner.items():
            yield from _leaves(each, f"{name}.{key}" if name else key)
    else:
        yield name, value


def _too_long(value: Any) -> Iterator[tuple[str, int]]:
    for name, leaf in _leaves(value):
        for each in leaf if isinstance(leaf, list) else [leaf]:
            if isinstance(each, dict | list):
                yield from ((f"{name}.{inner}", found) for inner, found in _too_long({"": each}))
            elif isinstance(each, int) and not SMALLEST <= each <= LARGEST:
                yield name, each


def _with_short_integers(value: Any) -> Any:
    if isinstance(value, dict):
        inner: Json = value
        return {key: _with_short_integers(each) for key, each in inner.items()}
    if isinstance(value, list):
        each_of: list[Any] = value
        return [_with_short_integers(each) for each in each_of]
    if isinstance(value, int) and not SMALLEST <= value <= LARGEST:
        return str(value)
    return value
