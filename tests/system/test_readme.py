"""What the README shows is what happens."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_first_example_of_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    example = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)[0]
    environment = {**os.environ, "QCSC_LOOP_STORE": str(tmp_path)}
    shown = subprocess.run(
        [sys.executable, "-c", example],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert re.fullmatch(r"converged after \d+ iterations?", shown[0])
    assert {line.split()[0] for line in shown[1:]} == {"0" * 12, "1" * 12}
