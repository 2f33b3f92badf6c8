"""A Flux instance in a folder: `flux` as far as jobs need it, each job a real process.

FLUX_URI names the folder: local://FOLDER. A job is FOLDER/jobs/ID.json, which only the process that
looks after it writes once it runs; FOLDER/jobs/ID.cancel is there when it is to end.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
LOOK_SECONDS = 0.02
Job = dict[str, Any]


def main(words: list[str]) -> int:
    command, rest = words[0], words[1:]
    if command == "--look-after":
        return look_after(Path(rest[0]), rest[1])
    uri = os.environ.get("FLUX_URI", "")
    folder = Path(uri.removeprefix("local://"))
    if not uri or not (folder / "jobs").is_dir():
        print(
            "flux: ERROR: Unable to connect to Flux: broker socket was not found", file=sys.stderr
        )
        return 1
    with (folder / "commands").open("a") as log:
        log.write(json.dumps({"words": words, "environment": sorted(os.environ)}) + "\n")
    calls = {
        "batch": batch,
        "jobs": jobs,
        "cancel": cancel,
        "run": run,
        "getattr": getattr_,
        "job": job,
    }
    return calls[command](folder, rest)


def batch(folder: Path, words: list[str]) -> int:
    script = Path(words[-1])
    options = dict(directives(script.read_text()))
    if options.get("--queue") == "no-such-queue":
        print("flux-batch: ERROR: Invalid queue 'no-such-queue' specified", file=sys.stderr)
        return 1
    number = (len(list((folder / "jobs").glob("*.json"))) + 1) << 24
    copy = folder / "jobs" / f"{number}.sh"
    copy.write_text(script.read_text())  # Flux runs a copy
    write(
        folder,
        {
            "id": number,
            "name": options["--job-name"],
            "state": "SCHED",
            "result": "",
            "returncode": "",
            "t_submit": time.time(),
            "t_run": 0.0,
            "t_cleanup": 0.0,
            "nnodes": options["--nodes"],
            "exception.type": "",
            "exception.note": "",
            "options": options,
            "cwd": os.getcwd(),
        },
    )
    subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, "--look-after", str(folder), str(number)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    print(f58(number))
    return 0


def directives(script: str) -> list[tuple[str, str]]:
    found = []
    for line in script.splitlines():
        if line.startswith("#flux:"):
            for word in shlex.split(line.removeprefix("#flux:"), comments=True):
                name, _, value = word.partition("=")
                found.append((name, value))
    return found


def look_after(folder: Path, number: str) -> int:
    job = read(folder, number)
    stop = folder / "jobs" / f"{number}.cancel"
    held = job["options"].get("--urgency") == "hold"
    while held and not stop.exists() and not (folder / "jobs" / f"{number}.release").exists():
        time.sleep(LOOK_SECONDS)
    if stop.exists():
        return over(folder, job, "CANCELED", -128, "cancel", "")
    job |= {"state": "RUN", "t_run": time.time()}
    write(folder, job)
    limit = float(job["options"].get("--time-limit", "inf").removesuffix("s"))
    environment = {**os.environ, "HOME": str(folder), "FAKE_FLUX_JOB": number}
    process = subprocess.Popen(
        ["/bin/bash", "-l", str(folder / "jobs" / f"{number}.sh")],
        cwd=job["cwd"],
        env=environment,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    result, kind, note = "", "", ""
    while process.poll() is None:
        time.sleep(LOOK_SECONDS)
        if stop.exists():
            result, kind, note = "CANCELED", "cancel", ""
        elif time.time() - job["t_run"] > limit:
            result, kind, note = "TIMEOUT", "timeout", "resource allocation expired"
        if result:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    code = process.returncode
    return over(folder, job, result or ("FAILED" if code else "COMPLETED"), code, kind, note)


def over(folder: Path, job: Job, result: str, code: int, kind: str, note: str) -> int:
    write(
        folder,
        job
        | {
            "state": "INACTIVE",
            "result": result,
            "returncode": code,
            "t_cleanup": time.time(),
            "exception.type": kind,
            "exception.note": note,
        },
    )
    return 0


def jobs(folder: Path, words: list[str]) -> int:
    ids = [word for word in words if not word.startswith("-")]
    options = {name: value for name, _, value in (word.partition("=") for word in words)}
    known = {path.stem for path in (folder / "jobs").glob("*.json")}
    for job_id in ids or sorted(known, key=int):
        if job_id not in known:
            print(f"JobID {job_id} unknown", file=sys.stderr)
            continue
        job = read(folder, job_id)
        if options.get("--name", job["name"]) != job["name"]:
            continue
        line = options["--format"]
        for name, value in {**job, "id.dec": job["id"]}.items():
            line = line.replace(f"{{{name}}}", str(value))
        print(line)
    return 1 if ids and not set(ids) & known else 0


def cancel(folder: Path, words: list[str]) -> int:
    (job_id,) = words
    if not (folder / "jobs" / f"{job_id}.json").exists():
        print(f"flux-cancel: {job_id}: unknown job", file=sys.stderr)
        return 1
    if read(folder, job_id)["state"] == "INACTIVE":
        print(f"flux-cancel: {job_id}: job is inactive", file=sys.stderr)
        return 1
    (folder / "jobs" / f"{job_id}.cancel").touch()
    return 0


def run(_folder: Path, words: list[str]) -> int:
    options: dict[str, str] = {}
    while words[0].startswith("--"):
        name, _, options[name] = words.pop(0).partition("=")
    tasks = [
        subprocess.Popen(words, env={**os.environ, "FLUX_TASK_RANK": str(rank)})
        for rank in range(int(options["--ntasks"]))
    ]
    return max(task.wait() for task in tasks)


def getattr_(_folder: Path, words: list[str]) -> int:
    assert words == ["jobid"]
    print(f58(int(os.environ["FAKE_FLUX_JOB"])))
    return 0


def job(_folder: Path, words: list[str]) -> int:
    assert words[:2] == ["id", "--to=dec"]
    number = 0
    for digit in words[2][1:]:
        number = number * 58 + BASE58.index(digit)
    print(number)
    return 0


def f58(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 58)
        digits = BASE58[digit] + digits
    return f"f{digits}"


def read(folder: Path, job_id: str) -> Job:
    found: Job = json.loads((folder / "jobs" / f"{job_id}.json").read_text())
    return found


def write(folder: Path, job: Job) -> None:
    path = folder / "jobs" / f"{job['id']}.json"
    new = path.with_suffix(f".{os.getpid()}")
    new.write_text(json.dumps(job))
    new.replace(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
