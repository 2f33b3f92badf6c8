"""How a person's shell comes to know `qcsc-loop`, which the commands that are printed begin with.

Whoever calls it by its path, as `make run` does, has not activated its virtual environment.
"""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import suppress
from pathlib import Path

from qcsc_loop.printing import say

NAME = "qcsc-loop"
_CSH = (".csh", "source", 'setenv PATH {}:"$PATH"')
_OTHERS = {
    "fish": (".fish", "source", "fish_add_path --path {}"),
    "csh": _CSH,
    "tcsh": _CSH,
}
"""Shells that are not like sh: a virtual environment's script, how it is read, a folder for PATH."""


def say_how_to_type(*, to_stderr: bool = False) -> None:
    """Says the line that makes the command known, to a person whose shell does not know it."""
    stream = sys.stderr if to_stderr else sys.stdout
    with suppress(OSError):  # the folder that it was called in is gone
        if stream.isatty() and (line := make_known()):
            # no comment behind it: zsh and csh know none of what is typed
            say(f"this shell does not know {NAME} yet; type first:\n  {line}", to_stderr=to_stderr)


def make_known() -> str:
    """The line that makes it known; empty: the shell knows it, or this is another program."""
    called = Path(sys.argv[0])
    if called.name != NAME or any(_is_same(called, place) for place in os.get_exec_path()):
        return ""
    folder = called.absolute().parent
    shell = Path(os.environ.get("SHELL", "")).name
    ending, read, add = _OTHERS.get(shell, ("", ".", 'export PATH={}:"$PATH"'))
    activate = folder / f"activate{ending}"
    if activate.is_file():
        return f"{read} {_short(activate)}"
    return add.format(shlex.quote(str(folder)))


def _is_same(called: Path, place: str) -> bool:
    try:
        return called.samefile(Path(place, NAME))
    except OSError:
        return False


def _short(path: Path) -> str:
    """As seen from below; a name alone would be looked for on the PATH."""
    here = Path.cwd()
    below = here in path.parent.parents
    return shlex.quote(str(path.relative_to(here) if below else path))
