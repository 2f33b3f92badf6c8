"""A folder on each node's own disk: files that are brought there, and what is brought back.

The ranks of a node agree by folders that are made in one step: the first one brings, the last one
brings back, and the launcher need not tell a rank which it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from qcsc_hpc.profiles import ExecutionProfile
from qcsc_hpc.script.quoting import quoted

STAGING_EXIT = 80  # of a rank that has not got its files


def staged(how: ExecutionProfile, folder: Path, restarts: str) -> Iterator[str]:
    """Lines of a rank, which leave QCSC_SCRATCH, and a function `stage_out` for its end.

    Args:
        restarts: as of `Dialect.own_restarts`.
    """
    yield f"folder={quoted(str(folder))}"
    yield "unstaged() {"
    yield '  echo "$HOSTNAME: scratch: $1" >&2'
    yield '  [ -n "${QCSC_SCRATCH-}" ] && : > "$QCSC_SCRATCH.failed"'
    yield f"  exit {STAGING_EXIT}"
    yield "}"
    yield f"scratch={_expanded(how.scratch)}"
    # an unset variable would make it the disk's root, or a folder relative to nothing
    yield "case $scratch in (/?*) ;; (*) unstaged \"'$scratch' is no folder of this node\" ;; esac"
    # the job's id is what its fence leads to; a new start finds nothing of an earlier one
    start = "" if restarts == "null" else f"-{restarts}"
    yield f'export QCSC_SCRATCH="${{scratch%/}}/qcsc-$(readlink "$folder/fence")"{start}'
    yield 'mkdir -p "$QCSC_SCRATCH" || unstaged "it cannot be made"'
    yield 'if mkdir "$QCSC_SCRATCH.first" 2> /dev/null; then'
    for name in how.stage_in:
        source = name if name.startswith("/") else f"{folder}/{name}"
        yield (
            f'  cp -RL -- {quoted(source)} "$QCSC_SCRATCH/" || unstaged {quoted(f"no {name} there")}'
        )
    yield '  : > "$QCSC_SCRATCH.ready"'
    yield "fi"
    yield 'until [ -e "$QCSC_SCRATCH.ready" ]; do'
    yield '  [ -e "$QCSC_SCRATCH.failed" ] && unstaged "another rank of the node could not"'
    yield "  sleep 0.1"
    yield "done"
    yield from _stage_out(how)


def _stage_out(how: ExecutionProfile) -> Iterator[str]:
    yield "stage_out() {"
    yield '  mkdir -p "$QCSC_SCRATCH.ended/$$"'
    yield "  local ended"
    yield '  ended=("$QCSC_SCRATCH.ended"/*)'
    yield f"  [ ${{#ended[@]}} -ge {how.mpiprocs} ] || return 0"
    yield '  mkdir "$QCSC_SCRATCH.last" 2> /dev/null || return 0'
    yield '  cd "$QCSC_SCRATCH" || return 0'
    yield "  local one"
    for pattern in how.stage_out:
        yield f"  for one in {_pattern(pattern)}; do"
        # under another name first: who reads the folder meanwhile sees no half of a file
        yield '    [ -e "$one" ] || continue'
        yield (
            '    cp -R -- "$one" "$folder/.staged.$$" && mv -fT -- "$folder/.staged.$$" '
            '"$folder/${one##*/}" && continue'
        )
        yield '    echo "$HOSTNAME: scratch: $one could not be brought to $folder" >&2'
        yield f"    [ $code = 0 ] && code={STAGING_EXIT}"
        yield "  done"
    yield '  cd "$folder" || return 0'
    yield '  rm -rf "$QCSC_SCRATCH" "$QCSC_SCRATCH".*'
    yield "}"


def _expanded(text: str) -> str:
    """Text in which the shell fills in variables, and does nothing else."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("`", "\\`")
    return f'"{escaped.replace("$(", chr(92) + "$(")}"'


def _pattern(text: str) -> str:
    """A name or a pattern: only `*`, `?` and brackets mean something."""
    kept = "*?[]"
    return "".join(c if c in kept else quoted(c) for c in text)
