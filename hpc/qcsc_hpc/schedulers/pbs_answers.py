"""What `qstat -f` says of jobs: their attributes, from its JSON or from its text."""

from __future__ import annotations

import json
import re

from qcsc_hpc.schedulers.scheduler import Answer, NotUnderstood
from qcsc_loop.plain import Json

_JOB = "Job Id: "


def jobs_in(answer: Answer) -> dict[str, Json]:
    """The attributes of each job.

    Raises:
        NotUnderstood: it is in no form that was asked for, or cut off.
    """
    return _in_json(answer.out) if "json" in answer.argv else _in_text(answer)


def variable(job: Json, name: str) -> str:
    """A variable of a job's environment; empty if it is not told.

    In JSON they are an object; in text they are one value, whose commas end a variable unless a
    backslash stands before them.
    """
    told: Json | str = job.get("Variable_List", {})
    if not isinstance(told, str):
        return str(told.get(name, ""))
    found = re.search(rf"(?:^|,){name}=((?:\\.|[^,\\])*)", told)
    return re.sub(r"\\(.)", r"\1", found[1]) if found else ""


def _in_json(text: str) -> dict[str, Json]:
    # a site may greet before it answers
    start = 0 if text.startswith("{") else text.find("\n{") + 1
    try:
        # a value with a control character is written as it stands
        jobs: dict[str, Json] = json.loads(text[start:], strict=False).get("Jobs", {})
        return dict(jobs.items())
    except (ValueError, AttributeError) as error:
        raise NotUnderstood(f"its JSON is cut off or damaged ({error})") from error


def _in_text(answer: Answer) -> dict[str, Json]:
    """`    name = value` under each id; a line that goes on with a value begins with a tab."""
    jobs: dict[str, Json] = {}
    text = "\n".join(answer.lines)
    lines = text.replace("\n\t", "").split("\n")
    job: Json = {}
    for line in lines:
        if line.startswith(_JOB):
            job = jobs.setdefault(line.removeprefix(_JOB).strip(), {})
        elif line.startswith("    ") and jobs:
            name, _, value = line.strip().partition(" = ")
            group, _, part = name.partition(".")
            if part:
                job.setdefault(group, {})[part] = value
            else:
                job.setdefault(name, value)
    if not jobs and text.strip():
        raise NotUnderstood(f"it lists no job: {' '.join(text.split())[:200]}")
    # an ended job's exit code comes late: without, it would be one that never ran
    if job.get("job_state") == "F" and "Exit_status" not in job and lines[-1].strip():
        raise NotUnderstood(f"its text is cut off after {lines[-1][-40:]!r}")
    return jobs
