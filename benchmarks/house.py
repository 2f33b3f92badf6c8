"""What the house measures: rooms and floors, what imports what, what imports upwards, and circles.

    python -m benchmarks.house

A room is a folder or a module of a package; the floors are those of its contract in
`pyproject.toml`. An arrow leads from a room to one that it imports; it leads up if it ends on a floor
that is not below its own. A circle is a set of files of which each imports, by way of others, itself.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import grimp
from scipy.sparse import lil_array
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).parents[1]
PACKAGES = ("qcsc_loop", "qcsc_hpc", "qcsc_algorithms.sqd")
Arrow = tuple[str, str]


def floors_of(package: str) -> list[list[str]]:
    """A package's rooms by floor, from the top down, as its contract has them."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one.get("containers") == [package])
    return [layer.split(" | ") for layer in layers]


def room_of(module: str, package: str) -> str:
    """The room that a module is in; empty: in none, or in another package."""
    return module.removeprefix(f"{package}.").partition(".")[0] if module != package else ""


def arrows_of(graph: grimp.ImportGraph, package: str) -> set[Arrow]:
    """From room to room."""
    below = {module for module in graph.modules if f"{module}.".startswith(f"{package}.")}
    imports = {
        (room_of(module, package), room_of(imported, package))
        for module in below
        for imported in graph.find_modules_directly_imported_by(module) & below
    }
    return {(one, other) for one, other in imports if one and other and one != other}


def circles_of(graph: grimp.ImportGraph, package: str) -> int:
    """How many there are among a package's files."""
    below = sorted(m for m in graph.modules if f"{m}.".startswith(f"{package}."))
    number = {module: k for k, module in enumerate(below)}
    imports = lil_array((len(below), len(below)))
    for module in below:
        for imported in graph.find_modules_directly_imported_by(module) & {*below}:
            imports[number[module], number[imported]] = 1
    _, parts = connected_components(imports.tocsr(), connection="strong")
    return sum(1 for part in {*parts} if (parts == part).sum() > 1)


def main() -> None:
    """Prints a table with a line for each package."""
    print("| package | rooms | floors | arrows | up | circles |\n|---|---|---|---|---|---|")
    graph = grimp.build_graph(
        *{package.partition(".")[0] for package in PACKAGES}, exclude_type_checking_imports=True
    )
    for package in PACKAGES:
        floors = floors_of(package)
        floor = {room: number for number, rooms in enumerate(floors) for room in rooms}
        rooms = {room_of(module, package) for module in graph.find_children(package)}
        arrows = arrows_of(graph, package)
        up = [(a, b) for a, b in arrows if {a, b} <= floor.keys() and floor[b] <= floor[a]]
        figures = len(rooms), len(floors), len(arrows), len(up), circles_of(graph, package)
        print(f"| `{package}` | {' | '.join(map(str, figures))} |")


if __name__ == "__main__":
    main()
