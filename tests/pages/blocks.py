"""The code blocks of a page, and what the comment before one says of it.

<!-- not run: WHY -->   it is not run, for one of the reasons in `NOT_RUN`
<!-- of: FILE -->       it is a piece of that file of the repository
<!-- file: NAME -->     a reader puts it into this file
<!-- before: WORDS -->  a command that the reader has typed elsewhere
<!-- said -->           the block before it says this, whatever the spaces
<!-- fails -->          its last command ends with another code than 0
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOT_RUN = {
    "installs": "it makes an environment: .ci/run and a release do so",
    "another machine": "it is typed on a machine that is not here, or starts something there",
    "an account": "it needs somebody's account at a quantum service",
    "a QPU": "it needs a quantum computer that a batch system hands out",
    "root": "it changes the machine",
    "minutes": "it takes many minutes; a benchmark",
    "hours": "it goes on for hours",
    "another package": "it needs a package that the tests do not have",
    "a part": "a part of a file that is run as a whole elsewhere",
}
COMMANDS = ("", "console", "bash", "sh")
TEXT = ("text", "json")
FENCE = re.compile(
    r"^(?P<comments>(?:[ ]*<!--(?:(?!-->).)*-->\n)*)(?P<indent>[ ]*)```(?P<language>[^\n`]*)\n"
    r"(?P<code>.*?)^[ ]*```$",
    re.DOTALL | re.MULTILINE,
)
COMMENT = re.compile(r"<!-- (not run|of|file|before|said|fails)(?:: (.*?))?\s-->", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A code block.

    Attributes:
        line: of the page, where its code begins.
        notes: what the comments before it say.
    """

    language: str
    code: str
    line: int
    notes: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def commands(self) -> str:
        """What is typed: of a console the lines with a prompt."""
        if "$ " not in self.code or self.language != "console":
            return self.code
        return "".join(f"{typed[2:]}\n" for typed in self.code.splitlines() if typed[:2] == "$ ")


def blocks_of(page: Path) -> list[Block]:
    """A page's blocks in their order."""
    text, found = page.read_text(), []
    for match in FENCE.finditer(text):
        indent = match["indent"]
        lines = match["code"].splitlines(keepends=True)
        code = "".join(line.removeprefix(indent) for line in lines)
        line = text.count("\n", 0, match.start("code")) + 1
        notes = dict(COMMENT.findall(match["comments"]))
        found.append(Block(match["language"], code, line, notes))
    return found


def pages() -> list[Path]:
    """Every page that a person has written and another one reads."""
    made = {"parameters.md"}  # has a test of its own
    docs = (path for path in ROOT.glob("docs/**/*.md") if path.name not in made)
    return sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *docs])
