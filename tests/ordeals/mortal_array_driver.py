"""A driver that dies, stands still, or says so, also at the instants of an array's submission.

Run as `python -m ordeals.mortal_array_driver ORDERS`; see `mortal_driver.Orders`. Its instants are
those of `mortal_driver`, and what comes before and after an array's folder, and its list of elements.
"""

from __future__ import annotations

import sys

from ordeals.mortal_driver import Fate, main
from qcsc_hpc.script import array_folder
from qcsc_hpc.sites import arrays


def mark_all(fate: Fate, algorithm: type) -> None:
    fate.mark_all(algorithm)
    fate.marks(arrays, "make_array_folder", lambda *_: "folder")
    fate.marks(array_folder.ArrayFolder, "fill", lambda *_, **__: "list")


if __name__ == "__main__":
    sys.exit(main(mark_all))
