"""`describe`: what an algorithm, or a setting of some type, takes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from shutil import get_terminal_size

import click

from qcsc_loop.catalog import find_algorithm, installed_algorithms
from qcsc_loop.errors import InputError, did_you_mean
from qcsc_loop.parameters.describe import Description, Parameter, describe, kinds, summary, types_of
from qcsc_loop.parameters.resource import Resource
from qcsc_loop.printing import say, say_json

_NARROWEST, _WIDEST = 60, 110
_HOW = "Parameters (--set NAME=VALUE), with their defaults:"


def describe_words(words: tuple[str, ...], *, as_json: bool) -> None:
    """Prints what is asked for: everything there is, an algorithm, a kind of setting, or one of it.

    Raises:
        InputError: there is none of that name.
    """
    first, second, *more = (*words, "", "")
    known = kinds()
    if any(more):
        raise InputError("describe takes an algorithm, or a kind of setting and its type")
    if not first:
        _say_all(as_json)
    elif first in known:
        _describe_kind(first, known[first], second, as_json)
    elif second:
        raise InputError(f"there is no kind of setting {_named(first, known)}")
    else:
        _say(describe(find_algorithm(first)), _HOW, as_json)


def _describe_kind(kind: str, model: type[Resource], type_: str, as_json: bool) -> None:
    types = types_of(model)
    if not type_:
        _say_kind(kind, {name: summary(each) for name, each in types.items()}, as_json)
    elif type_ in types:
        title = f"Parameters beside type={type_}, with their defaults:"
        _say(describe(types[type_], f"{kind} {type_}"), title, as_json)
    elif "/" in type_:
        raise InputError(
            f"{type_} names a saved {kind}, which is of some type: what each type takes says "
            f"qcsc-loop describe {kind} TYPE; TYPE is one of {', '.join(types)}"
        )
    else:
        raise InputError(f"there is no {kind} of type {_named(type_, types)}")


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
        own = ", ".join(each for each in types if "/" not in each)
        saved = "".join(f"; or a saved one, {each}" for each in types if "/" in each)
        parts.append(f"{name} is one of {own}: qcsc-loop describe {name} TYPE{saved}")
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


def _named(word: str, known: Collection[str]) -> str:
    """A name that nothing has, with those there are."""
    return f"{word!r}{did_you_mean(word, known)}; there are {', '.join(known)}"
