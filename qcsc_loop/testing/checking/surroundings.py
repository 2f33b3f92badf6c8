"""Another environment for an algorithm's process: all of it that it need not have to run."""

from __future__ import annotations

import locale
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

# without these, or with other values, other programs are run, or none, or nothing is reached
_NEEDED = re.compile(
    r"PATH|SHLVL|_|.*_proxy|.*_PROXY|XDG_RUNTIME_DIR|SSH_AUTH_SOCK|KRB5CCNAME|DBUS_.*|"
    r"(?:LD|DYLD|PYTHON|VIRTUAL_ENV|CONDA|PYTEST|COVERAGE|COV|QCSC|PREFECT|QISKIT|QRMI|IBM|SSL|CURL|"
    r"REQUESTS|OMP|OPENBLAS|MKL|BLIS|RAYON|NUMBA|GOMP|KMP|GLIBC|MALLOC|OMPI|OPAL|PRTE|PMI|PMIX|MPI|"
    r"I_MPI|MPICH|MV2|UCX|FI|HYDRA|SLURM|PBS|PJM|CUDA|NVIDIA|ROC|ROCM|HIP|HSA|JAX|XLA|PYSCF|MODULE|"
    r"MODULES|LMOD|SPACK)(?:_.*|[A-Z]*)?"
)
_ZONE = "ABC+7:30"  # one that needs no file: POSIX, TZ
_LOCALES = ("C.UTF-8", "en_US.UTF-8", "POSIX")
_LOCALE_NAMES = ("LC_ALL", "LANG")
_USUAL = ("HOME", *_LOCALE_NAMES, "TZ", "USER", "LOGNAME", "TMPDIR", "COLUMNS")
SUSPECTS = 8  # so many variables are tried one by one: each costs a process

Variables = Mapping[str, str | None]


def other_environment(folder: Path, asked: Iterable[str]) -> Variables:
    """Other values of all that is not needed, and of what was asked for; None: it is taken out.

    Args:
        folder: where a home and a place for temporary files may be made.
        asked: names, of variables that are not set, too.
    """
    return other_values([*_USUAL, *os.environ, *asked], folder)


def other_values(names: Iterable[str], folder: Path, *, also: Iterable[str] = ()) -> Variables:
    """Of those of them that are not needed, and of `also`."""
    varied = [name for name in names if not _NEEDED.fullmatch(name)]
    return {name: other_value(name, folder) for name in [*varied, *also]}


def suspects(asked: Iterable[str]) -> list[tuple[str, ...]]:
    """What is tried alone, the likeliest first; a locale's names together."""
    likely: list[tuple[str, ...]] = [(n,) for n in sorted(set(asked)) if n not in _LOCALE_NAMES]
    usual: list[tuple[str, ...]] = [("HOME",), _LOCALE_NAMES, ("TZ",), ("USER", "LOGNAME")]
    usual += [("TMPDIR",), ("COLUMNS",)]
    return [*dict.fromkeys([*likely, *usual])][:SUSPECTS]


def other_value(name: str, folder: Path) -> str | None:
    """Another value of a variable, with which programs still run."""
    value = os.environ.get(name)
    if name == "HOME":
        return str(_other_home(folder / "home"))
    if name == "TMPDIR":
        (folder / "tmp").mkdir(exist_ok=True)
        return str(folder / "tmp")
    if name == "PATH":
        return f"{value or os.defpath}{os.pathsep}{folder}"
    if name == "TZ":
        return _ZONE
    if name in _LOCALE_NAMES:
        return _other_locale()
    if value is not None and os.sep in value:
        return None  # a place: what is read from there would not be there
    return _other(value)


def _other_home(home: Path) -> Path:
    """Another folder with what the home has: accounts and caches are found there."""
    if not home.exists():
        home.mkdir()
        here = Path.home()
        for entry in os.listdir(here) if os.access(here, os.R_OK) else ():
            (home / entry).symlink_to(here / entry)
    return home


def _other_locale() -> str:
    here = os.environ.get("LC_ALL") or os.environ.get("LANG") or "C"
    return next((name for name in _LOCALES if name != here and _exists(name)), "C")


def _exists(name: str) -> bool:
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, name)
    except locale.Error:
        return False
    locale.setlocale(locale.LC_CTYPE, before)
    return True


def _other(value: str | None) -> str:
    """Another value of the same kind; of what is not set, a number, which is a text as well."""
    try:
        return f"{float(value or 1) + 1:g}"
    except ValueError:
        return f"{value}x"
