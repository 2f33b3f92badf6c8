"""Distributions outside the tree, installed as pip would leave them: modules, and their metadata."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

HERE = Path(__file__).parent


def install(name: str, site: Path) -> None:
    """Puts the distribution in the folder of that name into a folder for `sys.path`."""
    source = HERE / name
    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    files = [shutil.copy2(module, site) for module in source.glob("*.py")]
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    (info / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{entry} = {value}\n" for entry, value in entries.items())
            for group, entries in project["entry-points"].items()
        )
    )
    names = [Path(file).name for file in files] + [
        f"{info.name}/{file.name}" for file in info.iterdir()
    ]
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in [*names, f"{info.name}/RECORD"]))
