"""Gathers the pages, makes those that are made of the code, and has Sphinx build the site."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import main as sphinx

from docs.builder.commands import write_commands
from docs.builder.decisions import write_decisions
from docs.builder.inventories import write_inventories
from docs.builder.names import write_names
from docs.builder.pages import ROOT, finish_index, stage
from docs.builder.records import write_records


def main() -> int:
    """Builds; any warning, and any link that leads nowhere, is an error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build" / "docs")
    folder: Path = parser.parse_args().folder.resolve()
    source = folder / "source"
    shutil.rmtree(source, ignore_errors=True)
    stage(source)
    write_decisions(source / "decisions")
    write_commands(source / "reference" / "commands")
    write_names(source / "reference" / "names")
    write_records(source / "reference")
    finish_index(source)
    write_inventories(folder / "inventories")
    words = [
        "--builder",
        "html",
        "--fail-on-warning",
        "--keep-going",
        "--nitpicky",
        "--quiet",
        "--jobs",
        "auto",
    ]
    words += ["--doctree-dir", str(folder / "doctrees"), str(source), str(folder / "html")]
    os.chdir(ROOT)
    code = sphinx(words)  # here: what it forks has what it is to document imported
    if code == 0:
        print(f"the site: {folder / 'html' / 'index.html'}")
    return code


if __name__ == "__main__":
    sys.exit(main())
