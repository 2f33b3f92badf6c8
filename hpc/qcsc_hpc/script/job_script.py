"""A job's script: one file, the same on every scheduler but for its head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qcsc_hpc.profiles import ExecutionProfile, HPCProfile
from qcsc_hpc.schedulers.scheduler import Dialect, Placement
from qcsc_hpc.script.job_folder import DUPLICATE_EXIT, FOLDER_EXIT, UNWRITABLE_EXIT
from qcsc_hpc.script.launchers import launcher_words
from qcsc_hpc.script.outputs import checks
from qcsc_hpc.script.quoting import one_line, quoted
from qcsc_hpc.script.staging import staged
from qcsc_hpc.script.warning import WARNED, relayed, warned


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
    """The script. Nothing in it is expanded by the shell but the profile's own lines of shell."""
    parts = [*_head(dialect, facts), *_rank(facts, dialect.own_restarts), *_body(dialect, facts)]
    return "\n".join(parts) + "\n"


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
        *_rank_commands(facts),
        f'exec {" ".join(quoted(word) for word in program)} "$@" < /dev/null',
    ]
    return "\n".join(lines) + "\n"


def _rank(facts: ScriptFacts, restarts: str) -> Iterator[str]:
    """What the launcher starts: this script again, so that no launcher sees an argument."""
    yield 'if [ "${1-}" = rank ]; then'
    for line in _exports(facts):
        yield f"  {line}"
    # not the launcher's stdin: hydra's proxy spins for ever over a rank that reads it
    program = f"{' '.join(quoted(word) for word in facts.program)} < /dev/null"
    lines = [f"cd {quoted(str(facts.directory or facts.folder))} || exit {FOLDER_EXIT}"]
    if facts.how.scratch:
        lines += staged(facts.how, facts.folder, restarts)
    lines += _rank_commands(facts)
    if facts.how.scratch:
        lines += relayed(program, signals=("TERM", facts.how.warning_signal))
        lines += ["stage_out", "exit $code"]
    else:
        lines.append(f"exec {program}")
    for line in lines:
        yield f"  {line}"
    yield "fi"
    yield ""


def _rank_commands(facts: ScriptFacts) -> Iterator[str]:
    for number, command in enumerate(facts.how.rank_commands):
        yield f"{{ {command}"
        said = f'echo "rank_commands[{number}] failed" >&2'
        yield f"}} || {{ code=$?; {said}; exit $code; }}"


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
    yield f"me={dialect.script_id}"
    yield from _fence()
    yield "rm -f exit.json"
    yield "{ : > started; } 2> /dev/null || unwritable started"
    yield "began=$(date +%s.%N)"
    if facts.how.warning_seconds:
        yield f"rm -f {WARNED}"
    yield from _ending(dialect, warned=bool(facts.how.warning_seconds))
    if facts.how.warning_seconds:
        yield from warned(facts.how.warning_signal)
    yield from dialect.settings()
    yield from _preparations(facts)
    words = [*launcher_words(facts.where, facts.how), "bash"]
    start = dialect.before_launcher + " ".join(quoted(word) for word in words)
    start += ' "$folder/job.sh" rank < /dev/null'
    if facts.how.warning_seconds:
        yield from relayed(start, signals=(), told=facts.how.warning_signal)
        start = "[ $code = 0 ]"
    # not `…; finish $?`: a pre-command may have made the shell leave at the first failure
    yield f"if {start}; then"
    for line in checks(facts.outputs):
        yield f"  {line}"
    yield "  finish 0"
    yield "else"
    yield "  finish $code" if facts.how.warning_seconds else "  finish $?"
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


def _ending(dialect: Dialect, *, warned: bool) -> Iterator[str]:
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
    # what a record says is there has to be there after a power cut, too; a disk that cannot say so has
    # its word in the log, and the job its end all the same
    yield '  find "$folder" -xdev \\( -type f -o -type d \\) -exec sync -- {} + || :'
    form, told = "", ""
    if warned:
        yield f'  [ -e "$folder/{WARNED}" ] && warned=true'
        form, told = '"warned":%s,', '"${warned-false}" '
    yield (
        '  printf \'{"job":"%s","restarts":%s,"exit_code":%d,"fault":"%s","oom_kills":%d,'
        f'{form}"started":%s,"ended":%s}}\\n\' '
        f'"$me" {dialect.own_restarts} "$1" "${{2-}}" $((${{after:-0}} - ${{before:-0}})) '
        f'{told}"$began" "$(date +%s.%N)" >| "$folder/.exit.$me" || unwritable exit.json'
    )
    yield '  sync -- "$folder/.exit.$me" || :'
    yield '  mv -f "$folder/.exit.$me" "$folder/exit.json" || unwritable exit.json'
    yield '  sync -- "$folder" || :'
    yield '  exit "$1"'
    yield "}"


def _preparations(facts: ScriptFacts) -> Iterator[str]:
    """What a failing one of which fails the job."""
    ways = {"spack": _spack, "modules": _modules, "pre_commands": _pre_commands}
    for name in facts.how.preparation_order:
        yield from ways[name](facts)


def _spack(facts: ScriptFacts) -> Iterator[str]:
    if facts.where.spack_setup:
        yield f". {quoted(facts.where.spack_setup)} || finish $? spack_setup"
    for name in facts.where.spack_modules:
        yield f"spack load {quoted(name)} || finish $? spack_modules"


def _modules(facts: ScriptFacts) -> Iterator[str]:
    if facts.how.module_purge:
        yield "module purge || finish $? module_purge"
    for name in facts.how.modules:
        yield f"module load {quoted(name)} || finish $? modules"


def _pre_commands(facts: ScriptFacts) -> Iterator[str]:
    for number, command in enumerate(facts.how.pre_commands):
        yield f"{{ {command}\n}} || finish $? 'pre_commands[{number}]'"
