"""A Slurm that takes any number of jobs, and has no nodes: what follows them is what is measured.

sbatch and squeue are shell scripts over two files, and take milliseconds whatever is in flight; there
is no accounting. Jobs run until they are told to end; then a process of its own leaves in each folder
what its script would leave: `python -m benchmarks.simulated_slurm FOLDER SECONDS`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

JOBS, ENDED = "jobs", "ended"  # "ID SIZE SECONDS NAME SCRIPT"; "ELEMENT SECONDS"
SLICES = 100  # in which jobs end

SBATCH = r"""#!/bin/sh
size=1
for script; do case $script in --array=0-*) size=$((${script#--array=0-} + 1)) ;; esac; done
name=$(sed -n 's/^#SBATCH --job-name=//p' "$script")
exec 9>>%(folder)s/jobs; flock 9
id=$(($(wc -l < %(folder)s/jobs) + 1))
printf '%%d %%d %%d %%s %%s\n' "$id" "$size" "$(date +%%s)" "$name" "$script" >&9
echo "$id"
"""
SQUEUE = r"""#!/bin/sh
for word; do case $word in --jobs=*) ids=${word#--jobs=} ;; esac; done
exec awk -v ids="$ids" '
  FILENAME ~ /jobs$/ { size[$1] = $2; began[$1] = $3; name[$1] = $4; next }
  { ended[$1] = $2 }
  function show(id, array) {
    printf "%%s|%%s|0|%%s|%%s|%%s|1|1|%%s|0|None|\n", id, id in ended ? "COMPLETED" : "RUNNING",
      began[array], began[array], id in ended ? ended[id] : "N/A", name[array]
  }
  END {
    count = split(ids, asked, ",")
    for (i = 1; i <= count; i++) {
      split(asked[i], parts, "_")
      if (!(parts[1] in size)) continue
      if (asked[i] ~ /_/) show(asked[i], parts[1])
      else for (k = 0; k < size[parts[1]]; k++) show(parts[1] "_" k, parts[1])
    }
  }' %(folder)s/jobs %(folder)s/ended
"""
SACCT = "#!/bin/sh\necho 'Slurm accounting storage is disabled' >&2; exit 1\n"


def make_commands(folder: Path) -> None:
    """Puts them below the folder and onto PATH."""
    commands = folder / "bin"
    commands.mkdir(parents=True)
    for name in (JOBS, ENDED):
        (folder / name).touch()
    for name, text in {"sbatch": SBATCH, "squeue": SQUEUE}.items():
        (commands / name).write_text(text % {"folder": folder})
    for name in ("sacct", "scancel", "scontrol"):
        (commands / name).write_text(SACCT)
    for file in commands.iterdir():
        file.chmod(0o755)
    os.environ["PATH"] = f"{commands}{os.pathsep}{os.environ['PATH']}"


def handed_in(folder: Path) -> int:
    """How many jobs there are."""
    return sum(int(line.split()[1]) for line in (folder / JOBS).read_text().splitlines())


def end_all(folder: Path, seconds: float) -> None:
    """Ends all jobs within so many seconds."""
    jobs = list(_elements(folder))
    each = max(1, len(jobs) // SLICES)
    for first in range(0, len(jobs), each):
        some = jobs[first : first + each]
        for job_id, place in some:
            _leave(job_id, place)
        with (folder / ENDED).open("a") as file:
            file.writelines(f"{job_id} {time.time():.0f}\n" for job_id, _ in some)
        time.sleep(seconds * each / len(jobs))


def _elements(folder: Path) -> Iterator[tuple[str, Path]]:
    for line in (folder / JOBS).read_text().splitlines():
        array_id, _, _, _, script = line.split(" ", 4)
        array = Path(script).parent
        names = (array / "elements").read_bytes().split(b"\0")[:-1]
        for number, name in enumerate(names):
            yield f"{array_id}_{number}", array.parent / os.fsdecode(name)


def _leave(job_id: str, folder: Path) -> None:
    now = time.time()
    record = {"job": job_id, "restarts": 0, "exit_code": 0, "started": now - 1, "ended": now}
    (folder / "fence").symlink_to(job_id)
    (folder / "started").touch()
    (folder / "output.log").touch()
    (folder / ".exit").write_text(json.dumps(record))
    (folder / ".exit").rename(folder / "exit.json")


if __name__ == "__main__":
    end_all(Path(sys.argv[1]), float(sys.argv[2]))
