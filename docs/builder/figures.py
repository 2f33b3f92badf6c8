"""The pictures of docs/figures, made of runs: `python -m docs.builder.figures`; needs a Chromium.

The runs are those that docs/look-at-runs.md shows; they take some minutes, in a store of their own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from docs.builder.pages import DOCS

FIGURES = DOCS / "figures"
SMALL = (
    "system.basis=sto-3g",
    "shots=300",
    "max_strings=8",
    "patience=60",
    "tolerance=1e-9",
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--headless",
    "--hide-scrollbars",
    "--virtual-time-budget=5000",
    "--window-size=1100,1500",
)


def main() -> None:
    """Drives the runs, and draws them."""
    settings = [word for setting in SMALL for word in ("--set", setting)]
    with tempfile.TemporaryDirectory() as folder:
        _loop(folder, "run", "sqd", "--run-id", "water", *settings, "--max-iterations", "40")
        _loop(folder, "resume", "water", "--max-iterations", "80")
        other = ("--run-id", "water-1", "--seed", "1", *settings, "--max-iterations", "80")
        _loop(folder, "run", "sqd", *other)
        _loop(folder, "plot", "water", "-o", str(FIGURES / "water.svg"))
        pair = ("water", "water-1", "-x", "shots", "--log")
        _loop(folder, "plot", *pair, "-o", str(FIGURES / "two-runs.svg"))
        _loop(folder, "report", "water", "-o", "water.html")
        photograph(Path(folder, "water.html"), FIGURES / "report.png")


def photograph(page: Path, picture: Path) -> None:
    """What a browser shows of a page.

    Raises:
        SystemExit: there is no browser.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"there is none of {', '.join(BROWSERS)} on the PATH: apt-get install chromium")
    shot = f"--screenshot={picture}"
    subprocess.run([browser, *BROWSER_OPTIONS, shot, page.as_uri()], check=True)


def _loop(folder: str, *words: str) -> None:
    program = Path(sys.prefix) / "bin" / "qcsc-loop"
    known = {**os.environ, "QCSC_LOOP_STORE": str(Path(folder, "store"))}
    subprocess.run([program, *words], cwd=folder, env=known, check=True)


if __name__ == "__main__":
    main()
