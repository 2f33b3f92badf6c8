"""A driver's side of a mailbox in a process of its own: MAILBOX FOLDER NAME INPUT."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from qcsc_hpc.warm.mailbox import Mailbox, Request, outcome_in


def main(mailbox: str, folder: str, name: str, given: str) -> None:
    """Posts a request, waits for its outcome, and says it."""
    box = Mailbox(Path(mailbox))
    box.post(name, Path(folder), Request(key="run/1/evaluate/work.0", input_sha256=given, ranks=1))
    while (ended := outcome_in(Path(folder))) is None:
        time.sleep(0.002)
    print(ended.state, ended.place)


if __name__ == "__main__":
    main(*sys.argv[1:])
