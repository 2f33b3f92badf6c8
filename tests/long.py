"""Which tests are left to CI since they take long: `make test` is to end in ten minutes.

`tests/long.txt` names them, a line each: a test, or by hand a class or a file, whose first test would
else bear what all of them share. Tests are added to it from what a run of the default set took:

    make test PYTEST_ADDOPTS="--junitxml=took.xml"    # on a machine that does nothing else
    python tests/long.py took.xml

Ordeals are among them by hand only: whatever else, drivers are killed in every run. Of a file whose
tests all take long, the quickest stays.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

LIST = Path(__file__).with_name("long.txt")
SECONDS = 1.5
ALWAYS = ("tests/ordeals/",)


def is_long(node: str) -> bool:
    """Whether the test, its class or its file is on the list."""
    file, *parts = node.split("::", maxsplit=2)
    return not _listed().isdisjoint(["::".join([file, *parts[:n]]) for n in range(len(parts) + 1)])


@cache
def _listed() -> frozenset[str]:
    return frozenset(LIST.read_text(encoding="utf-8").splitlines())


def chosen(took: Iterable[tuple[str, float]]) -> list[str]:
    """Those of the tests, each with its seconds, that are left to CI."""
    files: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for node, seconds in took:
        files[node.partition("::")[0]].append((seconds, node))
    found: list[str] = []
    for file, tests in files.items():
        if not file.startswith(ALWAYS):
            quickest = min(tests)[1]
            found += [node for seconds, node in tests if seconds > SECONDS and node != quickest]
    return sorted(found)


def read_junit(file: Path) -> Iterable[tuple[str, float]]:
    """Node ids and seconds of the tests of a run."""
    for case in ElementTree.parse(file).iter("testcase"):
        parts = str(case.get("classname")).split(".")
        path = [part for part in parts if not part[:1].isupper()]
        classes = [part for part in parts if part[:1].isupper()]
        node = "::".join(["/".join(path) + ".py", *classes, str(case.get("name"))])
        yield node, float(case.get("time") or 0)


def main() -> None:
    """Adds what a run took long, to what is left out of it already."""
    more = chosen(read_junit(Path(sys.argv[1])))
    LIST.write_text("".join(f"{node}\n" for node in sorted({*_listed(), *more})), encoding="utf-8")


if __name__ == "__main__":
    main()
