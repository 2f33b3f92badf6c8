"""What a shell offers at Tab: commands, runs, algorithms, parameters, iterations.

A shell waits for this at every Tab: only the standard library is imported, and nothing of anybody's
code. Runs are folders of the store; what algorithms there are stands in `entry_points.txt`, and their
parameters in their files, which are read as text. For options alone click is imported.
"""

from __future__ import annotations

import os
import sys

from qcsc_loop.cli.overview import COMMANDS
from qcsc_loop.cli.plugin_commands import find_plugin_commands, find_plugins
from qcsc_loop.printing import named_store

TYPE_CHECKING = False  # of typing, which takes longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from click import Command, Parameter

FILES, FOLDERS = "@files", "@folders"
"""Offers that a shell makes itself: no run, name or option begins so."""
_OWN = "@"

# what commands take
RUNS = frozenset(
    (
        "resume",
        "show",
        "watch",
        "plot",
        "report",
        "diff",
        "fork",
        "export",
        "cancel",
        "gc",
        "reap",
        "track",
    )
)
ALGORITHMS = frozenset(("run", "check", "describe"))
TAKES_FILES = frozenset(("import", "deploy", "serve"))
_BREAKS = (":", "=")
_GROUP = "qcsc_loop.algorithms"


def answer(shell: str, words: Sequence[str]) -> list[str]:
    """The offers for the last word, a line each; as bash breaks words, only what follows the break."""
    if shell != "bash":
        return list(offers(words))
    joined = _joined(words)
    whole = list(offers(joined))
    cut = max((joined[-1].rfind(sign) + 1 for sign in _BREAKS), default=0)
    return [offer[cut:] if not offer.startswith(_OWN) else offer for offer in whole]


def offers(words: Sequence[str]) -> Iterator[str]:
    """What the last word may be.

    Args:
        words: of the command line, without the program's name; the last one may be empty.
    """
    *before, current = words or [""]
    found = _offers(before, current)
    yield from (offer for offer in found if offer.startswith((current, _OWN)))


def _offers(before: Sequence[str], current: str) -> Iterable[str]:
    if not before:
        return [*COMMANDS, *(command.name for command in find_plugin_commands())]
    command, previous = before[0], before[-1]
    if current.startswith("-"):
        return _options(before)
    if previous.startswith("-") and (value := _value_of(before, previous)) is not None:
        return value
    if command in RUNS:
        return _run_ids(_store(before))
    if command in ALGORITHMS:
        return [*_algorithms(), *_classes(current), FILES]
    if command in TAKES_FILES:
        return [FILES]
    return _subcommands(before)


def _value_of(before: Sequence[str], option: str) -> Iterable[str] | None:
    """What may follow an option; None if it takes no value."""
    match option:
        case "--set":
            return [f"{name}=" for name in _parameters(before)]
        case "--algorithm" if before[0] == "list":
            return _listed_algorithms()
        case "--algorithm":
            return [*_algorithms(), FILES]
        case "--from":
            return ["best", *_iterations(before)]
        case "-y":
            return _scalars(before)
        case _:
            return _by_its_type(_option(before, option))


# runs


def _store(words: Sequence[str]) -> str:
    chosen = named_store(words) or os.environ.get("QCSC_LOOP_STORE") or "~/.qcsc-loop"
    return os.path.expanduser(chosen)


def _run_ids(store: str) -> list[str]:
    try:
        with os.scandir(store) as entries:
            return sorted(e.name for e in entries if e.name[0] != "." and e.is_dir())
    except OSError:
        return []


def _named_run(words: Sequence[str]) -> str:
    """The folder of the run that a command line names."""
    store = _store(words)
    there = set(_run_ids(store))
    return os.path.join(store, next((word for word in words[1:] if word in there), "."))


def _iterations(words: Sequence[str]) -> list[str]:
    try:
        names = os.listdir(os.path.join(_named_run(words), "checkpoints"))
    except OSError:
        return []
    return [str(k) for k in sorted({int(name[:8]) for name in names if name[:8].isdigit()})]


def _scalars(words: Sequence[str]) -> list[str]:
    import json

    try:
        with open(os.path.join(_named_run(words), "history.jsonl"), encoding="utf-8") as lines:
            return list(json.loads(next(lines))["scalars"])
    except (OSError, ValueError, KeyError, StopIteration):
        return []


def _listed_algorithms() -> list[str]:
    """As `list` calls them: by their classes."""
    return sorted({place.partition(":")[2] for _, place in find_plugins(_GROUP)})


# algorithms


def _algorithms() -> list[str]:
    return sorted(name for name, _ in find_plugins(_GROUP))


def _classes(current: str) -> list[str]:
    """The classes of a file that is named already."""
    place, colon, _ = current.partition(":")
    if not colon or not os.path.isfile(place):
        return []
    from qcsc_loop.cli.reading_source import classes_in

    return [f"{place}:{name}" for name in classes_in(place)]


def _parameters(words: Sequence[str]) -> list[str]:
    """Of the algorithm that a command line names, or whose run it names; nothing of it is imported."""
    from qcsc_loop.cli.reading_source import fields_of

    places = dict(find_plugins(_GROUP))
    named = [places.get(word, word) for word in words[1:] if word in places or ":" in word]
    if not named and (recorded := _recorded(_named_run(words))):
        named = [recorded]
    return fields_of(named[0]) if named else []


def _recorded(run: str) -> str:
    import json

    try:
        with open(os.path.join(run, "run.json"), encoding="utf-8") as file:
            return str(json.loads(file.read())["value"]["settings"]["algorithm"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


# options, for which click knows more


def _command(words: Sequence[str]) -> Command | None:
    import click

    from qcsc_loop.cli.commands import commands

    found: click.Command = commands
    for word in words:
        if not isinstance(found, click.Group):
            break
        below = found.get_command(click.Context(found), word)
        if below is None:
            break
        found = below
    return None if found is commands else found


def _params(words: Sequence[str]) -> list[Parameter]:
    import click

    command = _command(words)
    return [] if command is None else command.get_params(click.Context(command))


def _options(words: Sequence[str]) -> list[str]:
    shown = [p for p in _params(words) if not getattr(p, "hidden", False)]
    names = (name for p in shown for name in (*p.opts, *p.secondary_opts))
    return sorted(name for name in names if name.startswith("--"))


def _option(words: Sequence[str], name: str) -> Parameter | None:
    return next((p for p in _params(words) if name in (*p.opts, *p.secondary_opts)), None)


def _by_its_type(option: Parameter | None) -> Iterable[str] | None:
    import click

    if option is None or getattr(option, "is_flag", False):
        return None
    if isinstance(option.type, click.Choice):
        return [str(choice) for choice in option.type.choices]
    if isinstance(option.type, click.Path):
        return [FOLDERS if not option.type.file_okay else FILES]
    return []


def _subcommands(words: Sequence[str]) -> list[str]:
    import click

    command = _command(words)
    if isinstance(command, click.Group):
        return command.list_commands(click.Context(command))
    return [FILES]


def _joined(words: Sequence[str]) -> list[str]:
    """Words as they were typed: bash breaks them at : and =."""
    found: list[str] = []
    glued = False
    for word in words:
        is_break = word in _BREAKS
        if found and (glued or is_break) and not found[-1].startswith("--"):
            found[-1] += word
        else:
            found.append(word)
        glued = is_break
    return found or [""]


def main(shell: str) -> None:
    """Says the offers for the words that follow the program's name; whatever fails offers nothing."""
    try:
        lines = answer(shell, sys.argv[1:])
    except Exception:  # at Tab nobody can read an error
        lines = []
    sys.stdout.write("".join(f"{line}\n" for line in lines if "\n" not in line))
