"""`new`: the files that an algorithm of one's own begins with."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from pathlib import Path
from string import Template

from qcsc_loop.concurrency.whole_file import write_whole
from qcsc_loop.errors import InputError
from qcsc_loop.printing import say, say_json

_TEMPLATES = Path(__file__).with_name("new_files")
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
MODE = 0o666  # less the umask, as an editor would make them


def write_new(name: str, *, folder: Path, as_json: bool) -> None:
    """Writes NAME.py, test_NAME.py and NAME.toml, all or none.

    Raises:
        InputError: that is no name, or there is a file already, or none can be written.
    """
    module = _module(name)
    _refuse_hiding(module, folder)
    kind = "".join(part.capitalize() for part in module.split("_"))
    targets = {
        folder / f"{module}.py": "algorithm.py.in",
        folder / f"test_{module}.py": "test.py.in",
        folder / f"{module}.toml": "parameters.toml.in",
    }
    if there := [target for target in targets if target.exists()]:
        raise InputError(f"{there[0]} is there already, and stays. Take another name or folder")
    contents = {
        target: Template((_TEMPLATES / source).read_text()).substitute(name=module, kind=kind)
        for target, source in targets.items()
    }
    _write(contents)
    if as_json:
        files = [str(target) for target in targets]
        say_json({"algorithm": f"{folder / module}.py:{kind}", "files": files})
        return
    where = folder / f"{module}.py"
    for target in targets:
        say(f"{target}")
    say(f"  qcsc-loop run {where}:{kind} --params {folder / module}.toml --run-id first")
    say(f"  qcsc-loop check {where}:{kind} --set shots=200 --iterations 2")
    say(f"  pytest {folder / f'test_{module}.py'}")


def _module(name: str) -> str:
    """A name as Python's modules have it."""
    module = name.removesuffix(".py").replace("-", "_")
    if not _NAME.fullmatch(module):
        raise InputError(
            f"{name!r} is no name for a module: lower-case letters, digits and underscores, a letter "
            "first, as in my_algorithm"
        )
    if keyword.iskeyword(module) or module in sys.stdlib_module_names:
        raise InputError(f"{module!r} is a name that Python has already; take another one")
    return module


def _refuse_hiding(module: str, folder: Path) -> None:
    """Refuses a name that another module has: whatever runs in the folder would import ours for it.

    Raises:
        InputError: it has.
    """
    for name in (module, f"test_{module}"):
        if (where := _found(name, folder)) is not None:
            raise InputError(
                f"{name!r} is a module that is installed ({where}), which a file {name}.py hides from "
                "all that runs in its folder; take another name"
            )


def _found(name: str, folder: Path) -> str | None:
    """Where a module is that would be imported by a name; None: there is none but in the folder."""
    importlib.invalidate_caches()
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # it is imported, and does not say from where
        return "imported already"
    if spec is None:
        return None
    own = {folder.resolve(), Path.cwd()}
    places = [Path(place) for place in spec.submodule_search_locations or ()]
    if spec.origin is not None and not places:
        places = [Path(spec.origin)]
    others = [place for place in places if place.resolve().parent not in own]
    return str(others[0]) if others else None


def _write(contents: dict[Path, str]) -> None:
    done: list[Path] = []
    target = next(iter(contents))
    try:
        for target, content in contents.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            with write_whole(target, once=True, mode=MODE) as file:
                file.write(content.encode())
            done.append(target)
    except OSError as error:
        for target in done:
            target.unlink(missing_ok=True)
        why = error.strerror or str(error)
        raise InputError(f"{target} cannot be written: {why}; nothing was") from error
