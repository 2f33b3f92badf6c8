"""Words for a terminal: what came from outside cannot command it, or show itself as another text.

A hook's error, a job's output, a scheduler's reason, the name of somebody's run: whoever wrote them
may have put escape sequences there. All that these packages print goes through here, or through the
console of `reports.tables`, which does. Nothing is imported: the command line's help starts with this.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # of typing, which takes longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Sequence
    from logging import LogRecord

_OBEYED = (
    (0x00, 0x08),  # controls, but for tab and newline
    (0x0B, 0x1F),
    (0x7F, 0x9F),  # DEL, and the C1 controls, of which some are escape sequences in one character
    (0x061C, 0x061C),  # marks that turn the direction of what follows
    (0x200E, 0x200F),
    (0x2028, 0x202E),
    (0x2060, 0x206F),
    (0x200B, 0x200B),  # characters without any width
    (0xFEFF, 0xFEFF),
    (0xFFF9, 0xFFFB),
    (0xD800, 0xDFFF),  # halves of characters, as names of files that are no UTF-8 have them
    (0xE0000, 0xE007F),  # a second, invisible ASCII
)
_BYTES = range(0xDC80, 0xDD00)  # bytes that are no UTF-8, as Python reads them


class _Written(dict[int, str]):
    """What a character is written as, by its code, found once."""

    def __missing__(self, code: int) -> str:
        obeyed = any(first <= code <= last for first, last in _OBEYED)
        self[code] = text = _escape(code) if obeyed else chr(code)
        return text


def _escape(code: int) -> str:
    if code in _BYTES:
        return f"\\x{code - 0xDC00:02x}"
    if code == 0x0D:
        return "\\r"
    return (
        f"\\x{code:02x}"
        if code < 0x100
        else f"\\u{code:04x}"
        if code < 0x10000
        else f"\\U{code:08x}"
    )


_written = _Written()


def printable(text: str) -> str:
    """The text with whatever a terminal would obey written out, as in a Python string.

    Lines stay lines; all that can be seen stays as it is.
    """
    if text.isascii() and text.isprintable():  # nearly always
        return text
    return text.replace("\r\n", "\n").translate(_written)


_OF_A_RUN = "resume|show|watch|plot|report|fork|export|cancel|reap|diff|track"
_TO_TYPE = rf"(qcsc-loop (?:{_OF_A_RUN}|sweep(?: show| plot| report)?) [\w.-]*\w)(?![^\n;]*--store)"
_behind: list[str] = []


def know_store(words: Sequence[str]) -> None:
    """Learns from a command line which store it names: so do the commands that are printed."""
    store = named_store(words)
    _behind[:] = [] if store is None else [store]


def named_store(words: Sequence[str]) -> str | None:
    """The store that a command line names."""
    found = None
    for word, after in zip(words, [*words, ""][1:], strict=True):
        if word == "--":
            break
        name, equals, value = word.partition("=")
        if name == "--store":
            found = value if equals else after
    return found


def store_option(store: object) -> str:
    """' --store DIR', behind a command that is to find a run there; empty if none was named."""
    if store is None:
        return ""
    import shlex

    return f" --store {shlex.quote(str(store))}"


def as_typed(text: str) -> str:
    """The text with commands of runs as they are to be typed: where --store was given, with that.

    An error, a warning or an advice names the run alone. Whoever typed it as it stands would be told
    that there is no such run, or shown another one of the same name.
    """
    if not _behind or "qcsc-loop " not in text:
        return text
    import re

    more = store_option(_behind[0])
    return re.sub(_TO_TYPE, lambda found: f"{found[1]}{more}", text)


def say(text: str, *, to_stderr: bool = False) -> None:
    """Prints a text."""
    print(printable(as_typed(text)), file=sys.stderr if to_stderr else sys.stdout, flush=True)


def say_json(facts: object) -> None:
    """Prints JSON in one line of ASCII: everything else is escaped as JSON does, and stays exact."""
    import json

    print(json.dumps(facts), flush=True)


def clean_record(record: LogRecord) -> bool:
    """A filter for loggers: what a record says is printable, wherever it is shown."""
    record.msg, record.args = printable(record.getMessage()), None
    return True
