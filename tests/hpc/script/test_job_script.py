"""Job scripts: as they are kept in `golden/`, and as they behave when bash runs them.

After a wanted change, `QCSC_LOOP_REWRITE_GOLDEN=1 pytest tests/hpc/script/test_job_script.py` writes
the files in `golden/` anew; read their difference before you commit it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

import pytest

from qcsc_hpc.machine import HPCMachine
from qcsc_hpc.mpi.walltime import UNFINISHED_EXIT
from qcsc_hpc.profiles import ExecutionProfile, HPCProfile
from qcsc_hpc.script.job_folder import (
    CLOSED,
    DUPLICATE_EXIT,
    FOLDER_EXIT,
    UNWRITABLE_EXIT,
    ExitRecord,
    JobFolder,
)
from qcsc_hpc.script.staging import STAGING_EXIT
from qcsc_loop.concurrency import child
from qcsc_loop.jobs.key import JobKey
from waiting import DEADLINE_SECONDS, until

GOLDEN = Path(__file__).with_name("golden")
REWRITE = bool(os.environ.get("QCSC_LOOP_REWRITE_GOLDEN"))
KEY = JobKey(
    run_id="h2o",
    run_uid="2026-11-21T00:00:00+00:00",
    iteration=3,
    step="evaluate",
    label="walker-2",
    name="bitcount",
)

# the golden files

RICH = ExecutionProfile(
    num_nodes=2,
    mpiprocs=4,
    ompthreads=3,
    walltime="01:30:00",
    modules=["gcc/12", "mpi/4.1"],
    pre_commands=["ulimit -s unlimited", 'export SCRATCH="$TMPDIR/qcsc"  # expanded on the node'],
    environments={"GREETING": "it's $HOME", "EMPTY": "", "LINES": "one\ntwo"},
)
SPACK = {"spack_setup": "/opt/spack/share/setup-env.sh", "spack_modules": ["hdf5 +mpi"]}
PYTHON = {"python": "/work/gz00/user/venv/bin/python"}


def how(launcher: str, *options: str, **more: object) -> ExecutionProfile:
    changed = {"launcher": launcher, "mpi_options": list(options), **more}
    return ExecutionProfile.model_validate(RICH.model_dump() | changed)


MACHINES = {
    "slurm": HPCMachine(
        hpc_profile=HPCProfile(
            scheduler="slurm",
            queue_cpu="cpu",
            queue_gpu="gpu",
            project_cpu="gz00",
            project_gpu="gz01",
            qpu="ibm_kobe",
            resources=["tmp:10G", "license:1"],
            reservation="workshop",
            constraint="[rack1|rack2]",
            qos_gpu="urgent",
            licenses=["ansys:2"],
            resources_gpu=["nvme:1"],
            export=["NONE", "SITE=kobe"],
            extra_directives=["--nice=10"],
            executable_map=PYTHON,
            **SPACK,
        ),
        execution_profile=how(
            "srun",
            "--mpi=pmi2",
            "--cpu-bind=map_cpu:0 1",
            resource_class="gpu",
            memory="0",
            gpus_per_rank=1,
            gpu_bind="closest",
            exclusive=True,
            module_purge=True,
            preparation_order=["pre_commands", "modules", "spack"],
            rank_commands=["export ROCR_VISIBLE_DEVICES=$SLURM_LOCALID"],
            mail_to="me@example.org",
            mail_on=["end", "fail"],
        ),
    ),
    "slurm-in-arrays": HPCMachine(hpc_profile=HPCProfile(scheduler="slurm", array=True)),
    "pjm-in-arrays": HPCMachine(hpc_profile=HPCProfile(scheduler="pjm", array=True)),
    "slurm-with-scratch": HPCMachine(
        hpc_profile=HPCProfile(scheduler="slurm"),
        execution_profile=how(
            "srun",
            modules=[],
            pre_commands=[],
            environments={},
            rank_commands=['cd "$QCSC_SCRATCH"'],
            scratch="$TMPDIR/it's",
            stage_in=["/data/integrals it's.npz", "shots.npy"],
            stage_out=["part.*.npz"],
            warning_seconds=120,
        ),
    ),
    "slurm-with-mpirun": HPCMachine(
        hpc_profile=HPCProfile(scheduler="slurm", executable_map={"mpirun": "/opt/my mpi/mpirun"}),
        execution_profile=how("mpirun", "--map-by", "ppr:4:node"),
    ),
    "slurm-with-defaults": HPCMachine(hpc_profile=HPCProfile(scheduler="slurm")),
    "pbs": HPCMachine(
        hpc_profile=HPCProfile(
            scheduler="pbs",
            queue_cpu="regular-c",
            project_cpu="gz00",
            qpu="ibm_kobe",
            qpu_directive="-l qpu={qpu}",
            resources=["model=a100"],
            licenses=["ansys:2", "qsim"],
            resources_cpu=["ssd=true"],
            export=["RTYPE=rt_HF"],
            executable_map=PYTHON,
            **SPACK,
        ),
        execution_profile=how(
            "mpiexec.hydra",
            "-bind-to",
            "core",
            memory="64G",
            gpus_per_rank=1,
            exclusive=True,
            module_purge=True,
            mail_to="me@example.org",
            mail_on=["begin", "end", "fail"],
        ),
    ),
    "pbs-with-select": HPCMachine(
        hpc_profile=HPCProfile(
            scheduler="pbs",
            select="1:ncpus=8+{num_nodes}:mpiprocs={mpiprocs}:ompthreads={ompthreads}",
            place="",
        ),
        execution_profile=how("mpiexec.hydra", modules=[], pre_commands=[], environments={}),
    ),
    "pjm": HPCMachine(
        hpc_profile=HPCProfile(
            scheduler="pjm",
            queue_cpu="small",
            project_cpu="hp250000",
            qpu="reimei",
            qpu_directive='-L "qpu={qpu}"',
            resources=["freq=2200"],
            resources_cpu=["node-mem=28Gi"],
            export=["SITE=kobe"],
            extra_directives=["-s"],
            gfscache="/vol0004:/vol0005",
            mpi_options_for_pjm=["rank-map-bychip"],
            executable_map=PYTHON,
            **SPACK,
        ),
        execution_profile=how(
            "mpiexec", "-stdout-proc", "out/%j", mail_to="me@example.org", mail_on=["begin", "end"]
        ),
    ),
    "miyabi": HPCMachine(
        hpc_profile=HPCProfile.model_validate(
            {
                "preset": "miyabi",
                "queue_cpu": "regular-c",
                "project_cpu": "gz00",
                "executable_map": {"bitcount": "/work/gz00/user/bit count"},
            }
        ),
        execution_profile=how("mpiexec.hydra"),
    ),
    "fugaku": HPCMachine(
        hpc_profile=HPCProfile.model_validate(
            {
                "preset": "fugaku",
                "queue_cpu": "small",
                "project_cpu": "hp250000",
                "gfscache": "/vol0004",
                **SPACK,
                "executable_map": {"bitcount": "/vol0004/user/bitcount"},
            }
        ),
        execution_profile=how("mpiexec"),
    ),
    "local": HPCMachine(
        hpc_profile=HPCProfile(
            scheduler="local", executable_map={"mpiexec": "/opt/mpi/bin/mpiexec", **PYTHON}, **SPACK
        ),
        execution_profile=how("mpiexec", "-bind-to", "core", num_nodes=1),
    ),
    "local-without-ranks": HPCMachine(
        hpc_profile=HPCProfile(scheduler="local"),
        execution_profile=how("single", num_nodes=1, mpiprocs=1),
    ),
}


def golden(machine: HPCMachine) -> str:
    program = machine.where.executable_map.get("bitcount", "/opt/bit count")
    words = [program, "10", "it's", "-x"]
    script = machine.script(KEY, Path("/work/my runs/h2o"), machine.shaped(None), words)
    # where this Python and this package lie is no part of what is kept
    return script.replace(sys.executable, "PYTHON").replace(child.__file__, "/PATH/child.py")


@pytest.mark.parametrize("name", MACHINES)
def test_a_script_is_what_it_was(name: str) -> None:
    file = GOLDEN / f"{name}.sh"
    script = golden(MACHINES[name])
    if REWRITE:
        file.write_text(script)
    assert script == file.read_text()


def test_every_kept_script_belongs_to_a_machine() -> None:
    kept = {path.stem for path in GOLDEN.iterdir()}
    assert kept - {f"array-{name}" for name in ("slurm", "pbs", "pjm")} == set(MACHINES)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.sh")), ids=lambda path: path.stem)
def test_bash_can_read_a_kept_script(path: Path) -> None:
    done = subprocess.run(["bash", "-n", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# what bash makes of them

LONGEST_SECONDS = 30.0
JOB_ID = {"slurm": "SLURM_JOB_ID", "pbs": "PBS_JOBID", "pjm": "PJM_JOBID"}
RECORDER = """
    import json, os, sys
    from pathlib import Path
    seen = {
        "arguments": [os.fsencode(word).hex() for word in sys.argv[2:]],
        "environment": {k.hex(): v.hex() for k, v in os.environb.items()},
        "directory": os.fsencode(os.getcwd()).hex(),
        "input": sys.stdin.read(),
    }
    name = os.environ.get("PMI_RANK", "0")
    Path(sys.argv[1], f"{name}.seen").write_text(json.dumps(seen))
    """


@dataclass
class Job:
    """A script in a folder of its own, run by bash as a scheduler would.

    Attributes:
        program: run on each rank; by default one that writes down what it sees.
        arguments: of that one.
    """

    folder: Path
    notes: Path
    how: ExecutionProfile = field(default_factory=ExecutionProfile)
    where: HPCProfile = field(default_factory=lambda: HPCProfile(scheduler="local"))
    program: list[str] = field(default_factory=list[str])
    arguments: list[str] = field(default_factory=list[str])
    directory: Path | None = None
    key: JobKey = KEY

    def write(self) -> None:
        self.folder.mkdir(exist_ok=True)
        recorder = self.notes / "recorder.py"
        recorder.write_text(dedent(RECORDER))
        program = self.program or [
            sys.executable,
            str(recorder),
            str(self.notes),
            *self.arguments,
        ]
        machine = HPCMachine(hpc_profile=self.where, execution_profile=self.how)
        shaped = machine.shaped(None)
        script = machine.script(self.key, self.folder, shaped, program, self.directory)
        (self.folder / "job.sh").write_bytes(os.fsencode(script))

    def start(self, job_id: str = "12") -> subprocess.Popen[bytes]:
        variable = JOB_ID.get(self.where.scheduler)
        return subprocess.Popen(
            ["bash", str(self.folder / "job.sh")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **({variable: job_id} if variable else {})},
            cwd=self.notes,  # as a scheduler does: not where the job's files are
            start_new_session=True,
        )

    def run(self, job_id: str = "12") -> tuple[int, str]:
        """Its exit code, and what it wrote where its output would go."""
        if not (self.folder / "job.sh").exists():
            self.write()
        with self.start(job_id) as process:
            try:
                output, _ = process.communicate(timeout=LONGEST_SECONDS)
            finally:
                if process.returncode is None:  # or leaving the block would wait for it
                    os.killpg(process.pid, signal.SIGKILL)
            return process.wait(DEADLINE_SECONDS), output.decode(errors="replace")

    def ran(self) -> int:
        """How many ranks of its program have written down what they saw."""
        return len(list(self.notes.glob("*.seen")))

    def seen(self) -> dict[str, object]:
        (note,) = self.notes.glob("*.seen")
        found: dict[str, object] = json.loads(note.read_text())
        return found

    def record(self) -> ExitRecord:
        found = JobFolder(self.folder).exit()
        assert found is not None, sorted(path.name for path in self.folder.iterdir())
        return found


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job of one program on this machine."""
    notes = tmp_path / "notes"
    notes.mkdir()
    return Job(tmp_path / "job", notes)


def on(scheduler: str) -> HPCProfile:
    return HPCProfile.model_validate({"scheduler": scheduler})


def byte_by_byte(words: Iterable[str]) -> list[str]:
    return [os.fsencode(word).hex() for word in words]


NASTY = {
    "spaces": "a  b ",
    "a quote": "it's",
    "quotes": "'\"'\"",
    "a command": "$(touch hacked)",
    "backquotes": "`touch hacked`",
    "a newline": "one\ntwo",
    "a last newline": "one\n",
    "a carriage return": "one\rtwo",
    "a variable": "$HOME ${PATH}",
    "a pattern": "*",
    "a home": "~root",
    "a backslash": "a\\nb\\",
    "an operator": "a && false; exit 9 | cat > hacked & #",
    "braces": "{a,b}{1..3}",
    "history": "!!",
    "unicode": "ünï ☃ 日本 \U0001f600",
    "control characters": "\x01\x1b[31m\x7f",
    "no text": "\udcff\udc80",
    "a format": "%s%n",
}
TEXTS = {name: word for name, word in NASTY.items() if name != "no text"}  # settings are JSON
DASHES = {"a dash": "-n", "two dashes": "--", "an option": "--help", "nothing": ""}


@pytest.mark.parametrize("word", (NASTY | DASHES).values(), ids=NASTY | DASHES)
def test_an_argument_arrives_byte_for_byte(job: Job, word: str) -> None:
    job.arguments = ["before", word, "after"]
    assert job.run() == (0, "")
    assert job.seen()["arguments"] == byte_by_byte(job.arguments)


def test_all_arguments_arrive_in_their_order(job: Job) -> None:
    job.arguments = [*NASTY.values(), *DASHES.values()]
    assert job.run() == (0, "")
    assert job.seen()["arguments"] == byte_by_byte(job.arguments)


@pytest.mark.parametrize("value", (TEXTS | DASHES).values(), ids=TEXTS | DASHES)
def test_a_value_of_the_environment_arrives_byte_for_byte(job: Job, value: str) -> None:
    job.how = ExecutionProfile(environments={"QCSC_TEST": value})
    assert job.run() == (0, "")
    environment = job.seen()["environment"]
    assert isinstance(environment, dict)
    assert environment[b"QCSC_TEST".hex()] == os.fsencode(value).hex()


@pytest.mark.parametrize("name", NASTY.values(), ids=NASTY)
def test_a_folder_may_be_called_anything(job: Job, name: str) -> None:
    job.folder = job.folder.with_name(name)
    assert job.run() == (0, "")
    assert job.seen()["directory"] == os.fsencode(job.folder).hex()
    assert job.record().exit_code == 0


@pytest.mark.parametrize("name", NASTY.values(), ids=NASTY)
def test_the_directory_of_a_program_may_be_called_anything(job: Job, name: str) -> None:
    job.directory = job.notes / name
    job.directory.mkdir()
    assert job.run() == (0, "")
    assert job.seen()["directory"] == os.fsencode(job.directory).hex()
    assert job.record().exit_code == 0


@pytest.mark.parametrize("name", (NASTY | DASHES).values(), ids=NASTY | DASHES)
def test_a_program_may_be_called_anything(job: Job, name: str) -> None:
    program = job.notes / f"{name}.sh"
    program.write_text("#!/bin/bash\nexit 7\n")
    program.chmod(0o755)
    job.program = [str(program)]
    assert job.run() == (7, "")


@pytest.mark.parametrize("label", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("scheduler", ["slurm", "pbs", "pjm", "local"])
def test_a_part_of_a_step_may_be_called_anything(job: Job, scheduler: str, label: str) -> None:
    job.where = on(scheduler)
    job.key = KEY.model_copy(update={"label": f"{label}\n#SBATCH --uid=0\n#PBS -u x\n#PJM -g x"})
    assert job.run()[0] == 0
    head, _, _ = (job.folder / "job.sh").read_text(errors="replace").partition("\nif [")
    assert "\n#SBATCH --uid=0" not in head
    assert "\n#PBS -u x" not in head
    assert "\n#PJM -g x" not in head
    environment = job.seen()["environment"]
    assert isinstance(environment, dict)
    assert environment[b"QCSC_JOB_KEY".hex()] == os.fsencode(str(job.key)).hex()


def test_real_ranks_get_nasty_arguments_in_a_nasty_folder(job: Job) -> None:
    job.folder = job.folder.with_name("a 'b' $(touch hacked) ünï")
    job.how = ExecutionProfile(launcher="mpiexec", mpiprocs=2)
    job.arguments = [*NASTY.values(), *DASHES.values()]
    code, output = job.run()
    assert (code, output) == (0, "")
    notes = [json.loads(note.read_text()) for note in sorted(job.notes.glob("*.seen"))]
    assert [note["arguments"] for note in notes] == [byte_by_byte(job.arguments)] * 2
    assert [note["directory"] for note in notes] == [os.fsencode(job.folder).hex()] * 2


def test_nothing_of_all_that_is_run_by_the_shell(job: Job) -> None:
    job.how = ExecutionProfile(environments={f"V{k}": v for k, v in enumerate(TEXTS.values())})
    job.arguments = list(NASTY.values())
    job.run()
    assert {path.name for path in job.folder.iterdir()} == {
        "job.sh",
        "fence",
        "started",
        "exit.json",
    }
    assert {path.name for path in job.notes.iterdir()} == {"recorder.py", "0.seen"}


def variables(job: Job) -> Mapping[str, str]:
    environment = job.seen()["environment"]
    assert isinstance(environment, dict)
    return {
        bytes.fromhex(name).decode(): bytes.fromhex(value).decode(errors="replace")
        for name, value in environment.items()
    }


def test_a_program_is_told_its_ranks_its_threads_and_its_key(job: Job) -> None:
    job.how = ExecutionProfile(ompthreads=3)
    job.run()
    told = variables(job)
    assert (told["QCSC_RANKS"], told["OMP_NUM_THREADS"], told["QCSC_JOB_KEY"]) == (
        "1",
        "3",
        "h2o/3/evaluate/walker-2/bitcount.0",
    )


def test_a_program_has_nothing_to_read(job: Job) -> None:
    job.run()
    assert job.seen()["input"] == ""


# what every rank does first, and the folder on its node


def test_every_rank_runs_the_commands_of_ranks_first(job: Job) -> None:
    job.how = ExecutionProfile(
        launcher="mpiexec", mpiprocs=2, rank_commands=["export MINE=rank-$PMI_RANK", "cd /"]
    )
    job.run()
    told = [json.loads(note.read_text()) for note in sorted(job.notes.glob("*.seen"))]
    values = [bytes.fromhex(one["environment"][b"MINE".hex()]).decode() for one in told]
    assert values == ["rank-0", "rank-1"]
    assert {bytes.fromhex(one["directory"]).decode() for one in told} == {"/"}


def test_a_command_of_ranks_that_fails_fails_the_job_and_says_which(job: Job) -> None:
    job.how = ExecutionProfile(rank_commands=["true", "exit_with() { return 5; }; exit_with"])
    assert job.run() == (5, "rank_commands[1] failed\n")
    assert (job.record().exit_code, job.ran()) == (5, 0)


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (["spack", "modules", "pre_commands"], "purge load a pre"),
        (["pre_commands", "modules", "spack"], "pre purge load a"),
    ],
)
def test_preparations_are_made_in_the_order_that_is_wanted(
    job: Job, order: list[str], said: str
) -> None:
    stand_in = job.notes / "said"
    job.how = ExecutionProfile.model_validate(
        {
            "modules": ["a"],
            "module_purge": True,
            "pre_commands": [f"echo pre >> '{stand_in}'"],
            "preparation_order": order,
            "environments": {},
        }
    )
    job.write()
    script = job.folder / "job.sh"
    module = f"module() {{ echo \"$@\" >> '{stand_in}'; }}\n"
    script.write_text(script.read_text().replace("\nbegan=", f"\n{module}began="))
    assert job.run()[0] == 0
    assert stand_in.read_text().split() == said.split()


SCRATCHED = """
    import os, sys
    from pathlib import Path
    scratch, rank = Path(os.environ["QCSC_SCRATCH"]), os.environ.get("PMI_RANK", "0")
    text = (scratch / "in put").read_text()
    (scratch / f"part.{rank}").write_text(f"{text} {rank}")
    (scratch / "not wanted").touch()
    sys.exit(int(sys.argv[1]))
    """


def scratched(job: Job, *arguments: str) -> Path:
    """A job of two ranks that work in a folder of their node."""
    disk = job.notes / "node's disk"
    disk.mkdir()
    (job.notes / "in put").write_text("integrals")
    program = job.notes / "program.py"
    program.write_text(dedent(SCRATCHED))
    job.program = [sys.executable, str(program), *arguments]
    job.how = ExecutionProfile(
        launcher="mpiexec",
        mpiprocs=2,
        scratch=str(disk),
        stage_in=[str(job.notes / "in put")],
        stage_out=["part.*"],
    )
    return disk


@pytest.mark.parametrize("code", [0, 3])
def test_files_are_brought_to_a_node_s_disk_and_back_however_it_ends(job: Job, code: int) -> None:
    disk = scratched(job, str(code))
    assert job.run()[0] == code
    parts = {path.name: path.read_text() for path in job.folder.glob("part.*")}
    assert parts == {"part.0": "integrals 0", "part.1": "integrals 1"}
    assert not (job.folder / "not wanted").exists()
    assert list(disk.iterdir()) == []


@pytest.mark.thorough
@pytest.mark.parametrize(
    "name", [word for word in TEXTS.values() if "\n" not in word and "\r" not in word]
)
def test_what_is_brought_may_be_called_anything(job: Job, name: str) -> None:
    disk = job.notes / "disk"
    disk.mkdir()
    kept = name.replace("/", "")
    job.folder.mkdir()
    (job.folder / kept).write_text("there")
    job.program = ["bash", "-c", 'cp -- "$QCSC_SCRATCH/$0" "$QCSC_SCRATCH/back $0"', kept]
    plain = "".join(f"[{c}]" if c in "*?[" else c for c in kept)
    job.how = ExecutionProfile(scratch=str(disk), stage_in=[kept], stage_out=[f"back {plain}"])
    assert job.run() == (0, "")
    assert (job.folder / f"back {kept}").read_text() == "there"


def test_a_file_that_is_not_there_to_be_brought_fails_the_job_and_is_named(job: Job) -> None:
    scratched(job, "0")
    job.how = job.how.model_copy(update={"stage_in": ["/no such file"]})
    code, output = job.run()
    assert code == job.record().exit_code == STAGING_EXIT
    assert "scratch: no /no such file there" in output


@pytest.mark.parametrize("scratch", ["$QCSC_NO_SUCH_VARIABLE", "relative", "/"])
def test_a_scratch_that_is_no_folder_of_the_node_fails_the_job(job: Job, scratch: str) -> None:
    job.how = ExecutionProfile(scratch=scratch)
    code, output = job.run()
    assert (code, job.ran()) == (STAGING_EXIT, 0)
    assert "is no folder of this node" in output


# the warning of its walltime's end


def test_a_warned_program_may_end_in_order_and_the_record_says_so(job: Job) -> None:
    job.where = on("slurm")
    job.program = [sys.executable, "-c", dedent(HEARING), str(job.notes / "began")]
    job.how = ExecutionProfile(walltime="01:00:00", warning_seconds=60)
    job.write()
    with job.start() as process:
        until((job.notes / "began").exists, "the program listens")
        process.send_signal(signal.SIGUSR1)
        assert process.wait(DEADLINE_SECONDS) == UNFINISHED_EXIT
    assert (job.record().exit_code, job.record().warned) == (UNFINISHED_EXIT, True)


def test_a_warning_that_comes_before_the_program_is_not_lost(job: Job) -> None:
    job.where = on("slurm")
    go = job.notes / "go"
    job.program = [sys.executable, "-c", dedent(HEARING), str(job.notes / "began")]
    job.how = ExecutionProfile(
        walltime="01:00:00",
        warning_seconds=60,
        pre_commands=[f"touch '{go}'; until [ -e '{job.folder}/warned' ]; do sleep 0.02; done"],
        rank_commands=["trap '' USR1"],  # nobody is there yet to hear it
    )
    job.write()
    with job.start() as process:
        until(go.exists, "the job prepares")
        process.send_signal(signal.SIGUSR1)
        assert process.wait(DEADLINE_SECONDS) == UNFINISHED_EXIT
    assert job.record().warned


@pytest.mark.parametrize("code", [0, 3, 127])
def test_a_job_that_might_be_warned_ends_as_its_program_does(job: Job, code: int) -> None:
    job.where = on("slurm")
    job.program = ["bash", "-c", f"exit {code}"]
    job.how = ExecutionProfile(walltime="01:00:00", warning_seconds=60)
    assert job.run()[0] == code
    assert (job.record().exit_code, job.record().warned) == (code, False)


HEARING = """
    import signal, sys
    from pathlib import Path
    from qcsc_hpc import EndOfWalltime
    with EndOfWalltime() as end:
        Path(sys.argv[1]).touch()
        while not end.is_near:
            signal.sigtimedwait([], 0.05)
        end.leave()
    """

# how it ends


@pytest.mark.parametrize("code", [0, 1, 3, 76, 77, 127, 255])
def test_the_exit_code_of_the_program_is_the_job_s(job: Job, code: int) -> None:
    job.program = ["bash", "-c", f"exit {code}"]
    assert job.run() == (code, "")
    assert (job.record().exit_code, job.record().fault) == (code, "")


def test_a_program_that_is_killed_fails_the_job(job: Job) -> None:
    job.program = ["bash", "-c", "kill -9 $$"]
    assert job.run()[0] == 137
    assert job.record().exit_code == 137


def test_a_program_that_is_not_there_fails_the_job_and_says_so(job: Job) -> None:
    job.program = ["/no/such program"]
    code, output = job.run()
    assert code == job.record().exit_code == 127
    assert "/no/such program: No such file or directory" in output


def test_a_launcher_that_is_not_there_fails_the_job_and_says_so(job: Job) -> None:
    job.where = HPCProfile(scheduler="local", executable_map={"mpiexec": "/no/such mpiexec"})
    job.how = ExecutionProfile(launcher="mpiexec")
    code, output = job.run()
    assert code == job.record().exit_code == 127
    assert "/no/such mpiexec: No such file or directory" in output


def test_a_folder_that_the_node_does_not_see_is_told_by_the_exit_code(job: Job) -> None:
    job.write()
    moved = job.folder.with_name("elsewhere")
    job.folder.rename(moved)
    done = subprocess.run(["bash", moved / "job.sh"], capture_output=True, check=False)
    assert done.returncode == FOLDER_EXIT
    assert job.ran() == 0


def read_only(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """No link can be made where the job runs."""
    stand_in = job.notes / "bin"
    stand_in.mkdir()
    said = "ln: failed to create symbolic link 'fence': Read-only file system"
    (stand_in / "ln").write_text(f'#!/bin/sh\necho "{said}" >&2\nexit 1\n')
    (stand_in / "ln").chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in}:{os.environ['PATH']}")


def test_a_folder_that_the_node_cannot_write_is_no_duplicate(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_only(job, monkeypatch)
    code, output = job.run()
    assert (code, job.ran()) == (UNWRITABLE_EXIT, 0)
    assert f"cannot write {job.folder}: " in output
    assert "Read-only file system" in output


@pytest.mark.parametrize("name", ["started", ".exit.12", "output.log"])
def test_a_disk_that_is_full_on_the_node_is_told_by_the_exit_code(job: Job, name: str) -> None:
    job.where = on("slurm" if name == ".exit.12" else "pbs")
    job.write()
    (job.folder / name).symlink_to("/dev/full" if name == ".exit.12" else "/dev/none/there")
    code, _ = job.run()
    assert code == UNWRITABLE_EXIT
    assert JobFolder(job.folder).exit() is None


def test_a_job_that_has_lost_its_fence_to_another_is_a_duplicate_all_the_same(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.write()
    JobFolder(job.folder).close()
    read_only(job, monkeypatch)
    assert job.run()[0] == DUPLICATE_EXIT


def test_what_the_kernel_killed_for_memory_is_in_the_record(job: Job) -> None:
    job.write()
    script = job.folder / "job.sh"
    counts = job.notes / "vmstat"
    counts.write_text("pgfault 12\noom_kill 3\nnr_free 4\n")
    script.write_text(script.read_text().replace("/proc/vmstat", str(counts)))
    assert (job.run()[0], job.record().oom_kills) == (0, 0)
    (job.folder / "fence").unlink()  # on this machine another start is another job
    head, _, rest = script.read_text().partition("finish() {")
    grown = f"printf 'oom_kill 5\\n' > {counts}"
    script.write_text(f"{head}{grown}\nfinish() {{{rest}")
    assert (job.run()[0], job.record().oom_kills) == (0, 2)


def test_a_directory_that_is_not_there_fails_the_job(job: Job) -> None:
    job.directory = job.notes / "none"
    assert job.run()[0] == job.record().exit_code == FOLDER_EXIT
    assert job.ran() == 0


@pytest.mark.parametrize("scheduler", ["slurm", "pbs", "pjm"])
@pytest.mark.parametrize("job_id", ["12", "12.vm", "4242.pbs-01.cluster.org", "7[].vm"])
def test_the_record_says_under_which_id_it_ran_and_when(
    job: Job, scheduler: str, job_id: str
) -> None:
    job.where = on(scheduler)
    before = time.time()
    job.run(job_id)
    record = job.record()
    assert record.job == job_id
    assert before - 1 <= record.started <= record.ended <= time.time() + 1


def test_on_this_machine_the_id_is_the_process_s(job: Job) -> None:
    job.write()
    with job.start() as process:
        process.communicate(timeout=DEADLINE_SECONDS)
    assert job.record().job == str(process.pid)


def test_the_record_appears_whole(job: Job) -> None:
    # the last thing a job does: what is renamed holds all of it already
    spy = 'mv() { cp "$2" whole; [ ! -e exit.json ] && command mv "$@"; }'
    job.how = ExecutionProfile(pre_commands=[spy])
    assert job.run()[0] == 0
    assert (job.folder / "whole").read_text() == (job.folder / "exit.json").read_text()
    assert [path.name for path in job.folder.glob(".exit*")] == []


@pytest.mark.parametrize("scheduler", ["pbs", "pjm"])
def test_a_script_keeps_its_output_where_the_scheduler_would_hold_it_back(
    job: Job, scheduler: str
) -> None:
    job.where = on(scheduler)
    job.program = ["bash", "-c", "echo said; echo complained >&2"]
    assert job.run() == (0, "")
    assert job.run() == (0, "")
    assert (job.folder / "output.log").read_text() == "said\ncomplained\n" * 2


@pytest.mark.parametrize("scheduler", ["slurm", "local"])
def test_a_script_writes_its_output_where_the_scheduler_puts_it(job: Job, scheduler: str) -> None:
    job.where = on(scheduler)
    job.program = ["bash", "-c", "echo said; echo complained >&2"]
    assert job.run() == (0, "said\ncomplained\n")


# before the program

SETUP = """
    spack() { echo "spack $*" >> calls; [ "$2" != bad ]; }
    module() { echo "module $*" >> calls; [ "$2" != bad ]; }
    """


@pytest.fixture
def prepared(job: Job) -> Job:
    """A job whose setup script brings `spack` and `module`; each call of them is written down."""
    setup = job.notes / "it's set up.sh"
    setup.write_text(dedent(SETUP))
    job.where = HPCProfile(
        scheduler="local", spack_setup=str(setup), spack_modules=["hdf5 +mpi", "fftw"]
    )
    return job


def calls(job: Job) -> list[str]:
    path = job.folder / "calls"
    return path.read_text().splitlines() if path.exists() else []


def test_what_a_program_needs_is_made_ready_in_order(prepared: Job) -> None:
    prepared.how = ExecutionProfile(
        modules=["gcc/12", "mpi"], pre_commands=["echo first >> calls", "echo second >> calls"]
    )
    prepared.program = ["bash", "-c", "echo program >> calls"]
    assert prepared.run() == (0, "")
    assert calls(prepared) == [
        "spack load hdf5 +mpi",
        "spack load fftw",
        "module load gcc/12",
        "module load mpi",
        "first",
        "second",
        "program",
    ]


BAD = {
    "pre_commands[1]": (3, ExecutionProfile(pre_commands=["true", "(exit 3)", "true"])),
    "pre_commands[0]": (127, ExecutionProfile(pre_commands=["no-such-command"])),
    "modules": (1, ExecutionProfile(modules=["good", "bad", "good"])),
}


@pytest.mark.parametrize("fault", BAD)
def test_what_cannot_be_made_ready_fails_the_job_and_is_named(prepared: Job, fault: str) -> None:
    code, prepared.how = BAD[fault]
    assert prepared.run()[0] == code
    assert (prepared.record().exit_code, prepared.record().fault) == (code, fault)
    assert prepared.ran() == 0


def test_a_spack_package_that_is_not_there_fails_the_job_and_is_named(prepared: Job) -> None:
    prepared.where = prepared.where.model_copy(update={"spack_modules": ["bad"]})
    assert prepared.run()[0] == 1
    assert prepared.record().fault == "spack_modules"
    assert prepared.ran() == 0


def test_a_setup_script_that_is_not_there_fails_the_job_and_is_named(job: Job) -> None:
    job.where = HPCProfile(scheduler="local", spack_setup="/no/such.sh")
    assert job.run()[0] != 0
    assert job.record().fault == "spack_setup"
    assert job.ran() == 0


def test_modules_where_there_are_none_fail_the_job_and_are_named(job: Job) -> None:
    job.how = ExecutionProfile(modules=["mpi"])
    assert job.run()[0] == 127
    assert job.record().fault == "modules"
    assert job.ran() == 0


def test_what_a_pre_command_exports_reaches_the_program(job: Job) -> None:
    job.how = ExecutionProfile(pre_commands=['export FROM_BEFORE="$((6 * 7))"'])
    job.run()
    assert variables(job)["FROM_BEFORE"] == "42"


@pytest.mark.parametrize(
    "command",
    ["true # a comment", "true;", "if true; then\n  true\nfi", "cat <<END\n$HOME\nEND", "true &"],
)
def test_a_pre_command_may_be_any_lines_of_shell(job: Job, command: str) -> None:
    job.how = ExecutionProfile(pre_commands=[command, "touch after"])
    assert job.run()[0] == 0
    assert (job.folder / "after").exists()
    assert job.ran() == 1


@pytest.mark.parametrize("code", [0, 3])
@pytest.mark.parametrize("command", ["cd /", "cd ..", "pushd / > hacked"])
def test_a_pre_command_that_goes_elsewhere_does_not_lose_the_record(
    job: Job, command: str, code: int
) -> None:
    job.how = ExecutionProfile(pre_commands=[command])
    job.program = ["bash", "-c", f"exit {code}"]
    job.run()
    assert job.record().exit_code == code


@pytest.mark.parametrize("code", [0, 3])
@pytest.mark.parametrize("command", ["set -e", "set -u", "set -euo pipefail", "set -C", "umask 77"])
def test_a_pre_command_that_makes_the_shell_strict_does_not_lose_the_record(
    job: Job, command: str, code: int
) -> None:
    job.how = ExecutionProfile(pre_commands=[command])
    job.program = ["bash", "-c", f"exit {code}"]
    assert job.run()[0] == code
    assert job.record().exit_code == code


def test_a_variable_of_the_profile_is_not_lost_to_its_threads(job: Job) -> None:
    job.how = ExecutionProfile(environments={"OMP_NUM_THREADS": "7"})
    job.run()
    assert variables(job)["OMP_NUM_THREADS"] == "7"


# the fence


@pytest.fixture(params=["slurm", "pbs", "pjm"])
def fenced(job: Job, request: pytest.FixtureRequest) -> Job:
    """A job whose program adds a line to `starts`; its id is what its scheduler says."""
    job.where = on(request.param)
    job.program = ["bash", "-c", 'echo "$QCSC_RANKS" >> starts; exit 3']
    job.write()
    return job


def starts(job: Job) -> int:
    path = job.folder / "starts"
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_the_first_job_of_a_folder_owns_it(fenced: Job) -> None:
    assert fenced.run("12.vm")[0] == 3
    assert JobFolder(fenced.folder).owner() == "12.vm"
    assert starts(fenced) == 1


def test_a_second_job_stops_and_changes_nothing(fenced: Job) -> None:
    fenced.run("12")
    before = fenced.record()
    assert fenced.run("13")[0] == DUPLICATE_EXIT
    assert starts(fenced) == 1
    assert JobFolder(fenced.folder).owner() == "12"
    assert fenced.record() == before


def test_a_second_job_says_whose_work_it_is(fenced: Job) -> None:
    fenced.run("12")
    _, output = fenced.run("13")
    said = output + JobFolder(fenced.folder).tail()
    assert "this work belongs to job 12: 13 stops" in said


@pytest.mark.parametrize("other", ["1", "122", "12.vm", "2", "*", "12 "])
def test_a_job_of_a_like_id_is_another(fenced: Job, other: str) -> None:
    fenced.run("12")
    assert fenced.run(other)[0] == DUPLICATE_EXIT


def test_a_requeued_job_passes_its_own_fence(fenced: Job) -> None:
    assert fenced.run("12")[0] == 3
    assert fenced.run("12")[0] == 3
    assert starts(fenced) == 2


def test_a_closed_fence_lets_nobody_in(fenced: Job) -> None:
    assert JobFolder(fenced.folder).close() is None
    assert fenced.run("12")[0] == DUPLICATE_EXIT
    assert starts(fenced) == 0
    assert JobFolder(fenced.folder).exit() is None


def test_a_fence_cannot_be_closed_behind_a_job(fenced: Job) -> None:
    fenced.run("12")
    assert JobFolder(fenced.folder).close() == "12"
    assert fenced.run("12")[0] == 3


def test_a_fence_that_is_closed_says_so(fenced: Job) -> None:
    JobFolder(fenced.folder).close()
    assert JobFolder(fenced.folder).owner() == CLOSED
    assert JobFolder(fenced.folder).close() is None


def test_of_many_jobs_that_start_together_one_works(fenced: Job) -> None:
    processes = [fenced.start(f"{number}.vm") for number in range(8)]
    codes = [process.wait(LONGEST_SECONDS) for process in processes]
    for process in processes:
        assert process.stdout is not None
        process.stdout.close()
    assert sorted(codes) == [3] + [DUPLICATE_EXIT] * 7
    assert starts(fenced) == 1


# a job that starts again


def test_a_job_that_starts_again_takes_its_record_back(job: Job) -> None:
    job.where = on("slurm")
    held = job.folder / "held"
    job.program = ["bash", "-c", "touch running; while [ -e held ]; do sleep 0.01; done"]
    job.run("12")
    first = job.record()
    (job.folder / "running").unlink()
    held.touch()
    with job.start("12") as process:
        until((job.folder / "running").exists, "the job runs again")
        assert JobFolder(job.folder).exit() is None
        held.unlink()
        process.communicate(timeout=DEADLINE_SECONDS)
    assert job.record().started > first.started


def test_a_job_that_starts_again_is_dated_anew(job: Job) -> None:
    job.where = on("slurm")
    job.run("12")
    os.utime(job.folder / "started", (0, 0))
    job.run("12")
    assert (job.folder / "started").stat().st_mtime > 0


def test_a_job_that_is_killed_leaves_no_record(job: Job) -> None:
    job.where = on("slurm")
    job.program = ["bash", "-c", "touch running; exec sleep 600"]
    job.write()
    with job.start("12") as process:
        until((job.folder / "running").exists, "the job runs")
        os.killpg(process.pid, signal.SIGKILL)
    assert JobFolder(job.folder).exit() is None
