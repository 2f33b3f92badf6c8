"""What the repository's pages link to elsewhere, a line an address, with the pages that do so.

Nothing is asked for: CI has no network. By hand, from where there is one:

    python -m docs.builder.outside | cut -f 1 |
        xargs -n 1 curl -sIL -o /dev/null -w '%{http_code} %{url}\\n'
"""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from pathlib import Path

from docs.builder.pages import FENCE, ROOT

OUTSIDE = re.compile(r"(?<=\]\()https?://[^)\s]+(?=\))|(?<=<)https?://[^>\s]+(?=>)")


def links() -> dict[str, list[Path]]:
    """The pages that link to each address, without those that code blocks show."""
    shown = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, check=True)
    found: dict[str, list[Path]] = defaultdict(list)
    for name in shown.stdout.decode().splitlines():
        for link in sorted(set(OUTSIDE.findall(FENCE.sub("", (ROOT / name).read_text())))):
            found[link].append(Path(name))
    return dict(sorted(found.items()))


if __name__ == "__main__":
    for address, pages in links().items():
        print(address, ", ".join(map(str, pages)), sep="\t")
