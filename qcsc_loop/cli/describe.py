"""`describe`: what an algorithm, or a setting of some type, takes."""

from __future__ import annotations

import difflib
from dataclasses import asdict
from shutil import get_terminal_size

import click

from qcsc_loop.catalog import find_algorithm, installed_algorithms
from qcsc_loop.errors import InputError
from qcsc_loop.parameters.describe import Description, Parameter, describe, kinds, types_of
from qcsc_loop.printing import say, say_json

_NARROWEST, _WIDEST = 60, 110
_HOW = "Parameters (--set NAME=VALUE), with their defaults:"


def describe_words(words: tuple[str, ...], *, as_json: bool) -> None:
    """Prints what is asked for: everything there is, an algorithm, a kind of setting, or one of it.

    Raises:
        InputError: there is none of that name.
    """
    if not words:
        _say_all(as_json)
        return
    known = kinds()
    if words[0] not in known:
        if len(words) > 1:
            raise InputError(
                f"there is no kind of setting {words[0]!r}{_near(words[0], known)}; there are "
                f"{', '.join(known)}"
            )
        _say(describe(find_algorithm(words[0])), _HOW, as_json)
        return
    kind, types = words[0], types_of(known[words[0]])
    if len(words) == 1:
        _say_kind(kind, {name: describe(model).what for name, model in types.items()}, as_json)
    elif words[1] not in types:
        raise InputError(
            f"there is no {kind} of type {words[1]!r}{_near(words[1], types)}; there are "
            f"{', '.join(types)}"
        )
    else:
        found = describe(types[words[1]], f"{kind} {words[1]}")
        _say(found, f"Parameters beside type={words[1]}, with their defaults:", as_json)


def parameters_of(algorithm: str) -> str:
    """An algorithm's parameters, for `run ALGORITHM --help`."""
    return _table(describe(find_algorithm(algorithm)), _HOW)


def _say_all(as_json: bool) -> None:
    algorithms, known = sorted(installed_algorithms()), list(kinds())
    if as_json:
        say_json({"algorithms": algorithms, "kinds": known})
        return
    say(f"Algorithms: {', '.join(algorithms)}, and yours, as file.py:Class")
    say(f"Settings of several types: {', '.join(known)}")
    say("What each takes: qcsc-loop describe ALGORITHM, qcsc-loop describe sampler aer")


def _say_kind(kind: str, types: dict[str, str], as_json: bool) -> None:
    if as_json:
        say_json({"name": kind, "types": types})
        return
    say(_definitions(f"Types of {kind}:", list(types.items())))
    say(f"What each takes: qcsc-loop describe {kind} TYPE")


def _say(found: Description, title: str, as_json: bool) -> None:
    if as_json:
        say_json(asdict(found))
    else:
        say(_table(found, title))


def _table(found: Description, title: str) -> str:
    rows = [(_name(parameter), _sense(parameter, found)) for parameter in found.parameters]
    parts = [f"{found.name}: {found.what}"]
    parts.append(_definitions(title, rows) if rows else "It has no parameters.")
    if any(parameter.operational for parameter in found.parameters):
        parts.append("* may be changed when a run goes on; the others decide its results.")
    for name, types in found.types.items():
        parts.append(f"{name} is one of {', '.join(types)}: qcsc-loop describe {name} TYPE")
    return "\n\n".join(parts)


def _name(parameter: Parameter) -> str:
    default = "" if parameter.default is None else f"={parameter.default.strip(chr(34))}"
    return f"{parameter.name}{default}{' *' if parameter.operational else ''}"


def _sense(parameter: Parameter, found: Description) -> str:
    kind = "" if parameter.name in found.types else parameter.type
    needed = "has to be given" if parameter.default is None else ""
    facts = ", ".join(filter(None, (kind, parameter.limits, needed)))
    return ": ".join(filter(None, (facts, parameter.what)))


def _definitions(title: str, rows: list[tuple[str, str]]) -> str:
    width = min(max(get_terminal_size().columns, _NARROWEST), _WIDEST)
    form = click.HelpFormatter(width=width)
    form.write(f"{title}\n")
    with form.indentation():
        form.write_dl(rows, col_max=34)
    return form.getvalue().rstrip("\n")


def _near(word: str, known: dict[str, type]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
