"""What a warm job finds in its folder: its orders, the script of its ranks, its own script."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, replace
from pathlib import Path

from qcsc_hpc.schedulers import dialect_for
from qcsc_hpc.script.job_folder import JobFolder
from qcsc_hpc.script.job_script import ScriptFacts, rank_script, render
from qcsc_hpc.script.launchers import launcher_words
from qcsc_hpc.sites.batch import BatchSite
from qcsc_hpc.warm import small_records as records
from qcsc_hpc.warm.orders import BEGAN, NO_RESTART, ORDERS, Orders
from qcsc_hpc.warm.pool_place import PoolPlace
from qcsc_loop.concurrency.whole_file import write_whole
from qcsc_loop.jobs.key import JobKey

# a supervisor that dies is started again, for as long as it does not die at once
LOOP = f"""\
export {BEGAN}=$(date +%s.%N)
quick=0
while :; do
  begun=$SECONDS
  "$@" && exit 0
  code=$?
  [ $code = {NO_RESTART} ] && exit $code
  if [ $((SECONDS - begun)) -lt 10 ]; then quick=$((quick + 1)); else quick=0; fi
  [ $quick -ge 5 ] && exit $code
done"""
LOOP_NAME = "warm"  # bash's name for the loop, in its messages


def write_job_files(place: PoolPlace, key: JobKey, folder: Path) -> None:
    """Writes them, the job's own script last."""
    where, how = place.where, place.how
    if where.scheduler != "local":
        BatchSite(where=where).require()
    place.box.make()
    module = [where.executable_map.get("python", sys.executable), "-P", "-m"]
    facts = ScriptFacts(
        job_name=key.job_name,
        key=str(key),
        folder=folder,
        program=[
            *("bash", "-c", LOOP, LOOP_NAME),
            *(*module, "qcsc_hpc.warm.supervisor", str(folder)),
        ],
        where=where,
        # the supervisor is no rank
        how=how.model_copy(update={"launcher": "single", "mpi_options": [], "rank_commands": []}),
        # srun(1): programs start on the cores of the waiting ranks, also where it is an
        # mpiexec that calls srun, which has no option for it
        environment={"QCSC_JOB_KEY": str(key), "SLURM_OVERLAP": "1"},
    )
    records.write_once(folder / ORDERS, asdict(_orders(place)))
    ranks = replace(facts, how=how)
    _write(folder / "pool.sh", rank_script(ranks, [*module, "qcsc_hpc.warm.rank"]))
    _write(JobFolder(folder).script, render(dialect_for(where), facts))


def _orders(place: PoolPlace) -> Orders:
    where, how, warm = place.where, place.how, place.warm
    local = where.scheduler == "local"
    return Orders(
        mailbox=str(place.root),
        launcher=launcher_words(where, how),
        ranks=how.ranks,
        alone=how.launcher == "single" or (local and how.num_nodes == 1),
        walltime=None if local else how.walltime_seconds,
        reserve=warm.reserve_seconds,
        idle=warm.idle_seconds,
        tries=warm.tries,
    )


def _write(path: Path, text: str) -> None:
    with write_whole(path) as file:
        file.write(os.fsencode(text))
