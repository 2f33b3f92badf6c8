"""A signal that warns a job of its walltime's end, and how it reaches the program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

WARNED = "warned"  # in the job's folder, once it was told
FIRST_MOMENTS = 5  # seconds


def warned(signal: str) -> Iterator[str]:
    """Before there is a program: it will find the file, when it looks."""
    yield f"trap ': > \"$folder/{WARNED}\"' {signal}"


def relayed(command: str, *, signals: Sequence[str], told: str = "") -> Iterator[str]:
    """Runs a command whose exit code is `$code`; bash hears signals meanwhile, and passes them on.

    Args:
        signals: passed on as they come.
        told: this one leaves the file, too.
    """
    yield f"{command} &"
    yield "child=$!"
    for signal in dict.fromkeys(signals):
        yield f'trap "kill -{signal} $child 2> /dev/null || :" {signal}'
    if told:
        yield f"trap ': > \"$folder/{WARNED}\"; kill -{told} $child 2> /dev/null || :' {told}"
        # it came before there was a program, which cannot hear it in its first moments, and would end
        later = f"sleep {FIRST_MOMENTS}; kill -{told} $child 2> /dev/null"
        yield f'[ ! -e "$folder/{WARNED}" ] || {{ {later}; }} &'
    # a signal ends the waiting, not what is waited for; the last one tells how that ended
    yield "while kill -0 $child 2> /dev/null; do wait $child && break; done"
    yield "wait $child && code=0 || code=$?"
