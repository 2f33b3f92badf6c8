"""A job's script: one file, the same on every scheduler but for its head."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qcsc_hpc.profiles import ExecutionProfile, HPCProfile
from qcsc_hpc.schedulers.scheduler import Dialect, Placement
from qcsc_hpc.script.job_folder import DUPLICATE_EXIT, FOLDER_EXIT, UNWRITABLE_EXIT
from qcsc_hpc.script.launchers import launcher_words
from qcsc_hpc.script.outputs import checks


@dataclass(frozen=True)
class ScriptFacts:
    """What a script is made of, beside its dialect.

    Attributes:
        program: the argument vector of each rank, byte for byte.
        environment: what each rank sees on top of the profile's.
        outputs: what the program leaves in the folder, or has failed.
    """

    job_name: str
    key: str
    folder: Path
    program: Sequence[str]
    where: HPCProfile
    how: ExecutionProfile
    environment: Mapping[str, str]
    directory: Path | None = None  # where the program runs, if not in the job's folder
    outputs: Sequence[str] = ()


def render(dialect: Dialect, facts: ScriptFacts) -> str:
    """The script. Nothing in it is expanded by the shell but the profile's `pre_commands`."""
    return "\n".join([*_head(dialect, facts), *_rank(facts), *_body(dialect, facts)]) + "\n"


def _head(dialect: Dialect, facts: ScriptFacts) -> Iterator[str]:
    placement = Placement(facts.job_name, one_line(facts.key), facts.where, facts.how)
    yield dialect.shebang
    for directive in dialect.directives(placement):
        yield f"{dialect.prefix} {directive}"
    yield f"# {one_line(facts.key)}"
    yield ""


def rank_script(facts: ScriptFacts, program: Sequence[str]) -> str:
    """A script for each rank of a step of a warm job: it runs where the script lies.

    Args:
        program: given the script's own arguments as well.
    """
    lines = [
        "#!/bin/bash",
        f"# {one_line(facts.key)}",
        *_exports(facts),
        f'cd "${{0%/*}}" || exit {FOLDER_EXIT}',
        f'exec {" ".join(quoted(word) for word in program)} "$@" < /dev/null',
    ]
    return "\n".join(lines) + "\n"


def _rank(facts: ScriptFacts) -> Iterator[str]:
    """What the launcher starts: this script again, so that no launcher sees an argument."""
    yield 'if [ "${1-}" = rank ]; then'
    for line in _exports(facts):
        yield f"  {line}"
    yield f"  cd {quoted(str(facts.directory or facts.folder))} || exit {FOLDER_EXIT}"
    # not the launcher's stdin: hydra's proxy spins for ever over a rank that reads it
    yield f"  exec {' '.join(quoted(word) for word in facts.program)} < /dev/null"
    yield "fi"
    yield ""


def _exports(facts: ScriptFacts) -> Iterator[str]:
    exported = {
        "OMP_NUM_THREADS": str(facts.how.ompthreads),
        **facts.how.environments,
        **facts.environment,
    }
    for name, value in exported.items():
        yield f"export {name}={quoted(value)}"


def _body(dialect: Dialect, facts: ScriptFacts) -> Iterator[str]:
    yield f"folder={quoted(str(facts.folder))}"
    yield f'cd "$folder" || exit {FOLDER_EXIT}'
    yield "unwritable() {"
    yield '  echo "$HOSTNAME cannot write $folder: $1" >&2'
    yield f"  exit {UNWRITABLE_EXIT}"
    yield "}"
    if not dialect.writes_output:
        yield "{ : >> output.log; } 2> /dev/null || unwritable output.log"
        yield "exec >> output.log 2>&1"
    yield f"me={dialect.own_id}"
    yield from _fence()
    yield "rm -f exit.json"
    yield "{ : > started; } 2> /dev/null || unwritable started"
    yield "began=$(date +%s.%N)"
    yield from _ending(dialect)
    yield from _preparations(facts)
    words = [*launcher_words(facts.where, facts.how), "bash"]
    start = dialect.before_launcher + " ".join(quoted(word) for word in words)
    # not `…; finish $?`: a pre-command may have made the shell leave at the first failure
    yield f'if {start} "$folder/job.sh" rank < /dev/null; then'
    for line in checks(facts.outputs):
        yield f"  {line}"
    yield "  finish 0"
    yield "else"
    yield "  finish $?"
    yield "fi"


def _fence() -> Iterator[str]:
    """Made whole in one step, on any file system; a requeued job passes its own fence."""
    yield 'if ! said=$(ln -sn "$me" fence 2>&1); then'
    yield "  owner=$(readlink fence)"
    yield '  [ -n "$owner" ] || unwritable "$said"'
    yield '  if [ "$owner" != "$me" ]; then'
    yield '    echo "this work belongs to job $owner: $me stops" >&2'
    yield f"    exit {DUPLICATE_EXIT}"
    yield "  fi"
    yield "fi"


def _ending(dialect: Dialect) -> Iterator[str]:
    """How the script ends; it leaves the record of its end, with what the kernel killed for memory."""
    yield "killed() {"
    yield "  local name count"
    yield '  while read -r name count; do [ "$name" = oom_kill ] && echo "$count"; done < /proc/vmstat'
    yield "  return 0"
    yield "}"
    yield "before=$(killed 2> /dev/null)"
    yield "finish() {"
    yield "  local after"
    yield "  after=$(killed 2> /dev/null)"
    if dialect.gathers:
        yield f'  for written in "$folder"/{dialect.gathers}; do'
        yield '    [ -f "$written" ] && cat -- "$written" && rm -f -- "$written"'
        yield "  done"
    yield (
        '  printf \'{"job":"%s","restarts":%s,"exit_code":%d,"fault":"%s","oom_kills":%d,'
        '"started":%s,"ended":%s}\\n\' '
        f'"$me" {dialect.own_restarts} "$1" "${{2-}}" $((${{after:-0}} - ${{before:-0}})) '
        '"$began" "$(date +%s.%N)" >| "$folder/.exit.$me" || unwritable exit.json'
    )
    yield '  mv -f "$folder/.exit.$me" "$folder/exit.json" || unwritable exit.json'
    yield '  exit "$1"'
    yield "}"


def _preparations(facts: ScriptFacts) -> Iterator[str]:
    """What a failing one of which fails the job."""
    where, how = facts.where, facts.how
    if where.spack_setup:
        yield f". {quoted(where.spack_setup)} || finish $? spack_setup"
    for name in where.spack_modules:
        yield f"spack load {quoted(name)} || finish $? spack_modules"
    for name in how.modules:
        yield f"module load {quoted(name)} || finish $? modules"
    for number, command in enumerate(how.pre_commands):
        yield f"{{ {command}\n}} || finish $? 'pre_commands[{number}]'"


def quoted(word: str) -> str:
    """A word that the shell takes byte for byte."""
    # sbatch takes a script with a carriage return before a line's end for one of DOS
    return shlex.quote(word).replace("\r", "'$'\\r''")


def one_line(text: str) -> str:
    """Text that ends neither a comment nor a directive."""
    return "".join(c if c.isprintable() else "?" for c in text)
