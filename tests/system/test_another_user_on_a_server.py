"""A configured server without a password: another user who writes to it as they like stops no run,
has nothing adopted, and runs nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from other_user import printed_by_nobody
from system.command_line import WANDER, CommandLine, setting
from system.server import PrefectServer
from waiting import until

pytestmark = pytest.mark.server

ATTACK = """
import hashlib
url, run, code = sys.argv[1:]

def post(path, body):
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url + path, json.dumps(body).encode(), headers)
    return json.loads(urllib.request.urlopen(request, timeout=30).read())

def known(key):
    return post("/artifacts/filter", {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC"})

def add(key, kind, data):
    post("/artifacts/", {"key": key, "type": kind, "data": data})

checkpoints, drivers = known(run), known(run + "-run")
for row in checkpoints + drivers:  # put back as they are
    add(row["key"], row["type"], row["data"])
held = json.loads(checkpoints[0]["data"])
state = json.loads(held["state"]["body"]) | {"steps": 100}
body = json.dumps(state)
held["state"]["body"] = body
held["commit"] |= {"iteration": 50, "epoch": 6}
held["commit"]["state_sha256"] = hashlib.sha256(body.encode()).hexdigest()
add(run, "qcsc-loop-checkpoint", json.dumps(held))
held = json.loads(drivers[0]["data"])
held["epoch"]["epoch"], held["end"] = 6, None
held["epoch"]["holder"] |= {"host": "elsewhere", "boot": "another", "driver": "mallory"}
for whose in (held["epoch"], held["record"]):
    whose["settings"]["algorithm"] = code
add(run + "-run", "qcsc-loop-run", json.dumps(held))
print(len(checkpoints), len(drivers))
"""


@pytest.mark.guarantee("S13")
@pytest.mark.thorough  # test_copies_of_a_run.py shows it of a server that is none
def test_what_another_user_puts_on_a_server_stops_brings_and_runs_nothing(
    with_server: CommandLine, server: PrefectServer, run_id: str, tmp_path: Path
) -> None:
    gate, ran, code = tmp_path / "gate", tmp_path / "ran", tmp_path / "code.py"
    gate.mkdir()
    code.write_text(f"import pathlib\npathlib.Path({str(ran)!r}).touch()\n")
    words = (
        *("run", WANDER, "--run-id", run_id, "--max-iterations", "3"),
        *setting(gate=str(gate), gates=[2]),
    )
    driver = with_server.start(*words, env={"QCSC_LOOP_LEASE_SECONDS": "3"})
    driver.until_there_is(gate / "2.reached")
    until(lambda: 1 in server.iterations(run_id), "iteration 1 is published")
    printed_by_nobody(ATTACK, server.url, run_id, f"{code}:Wander")

    def beats() -> set[str]:
        return {row["updated"] for row in server.artifacts(f"{run_id}-run")}

    seen = beats()
    until(lambda: len(beats() - seen) > 0, "its driver has given a sign of life, and looked")
    (gate / "2.open").touch()
    assert "3 iterations" in driver.result().well().out

    resumed = with_server("resume", run_id, "--max-iterations", "4", "--json").well()
    assert (resumed.answer["resumed_from"], resumed.answer["iteration"]) == (3, 4)
    assert "not signed with your key: it is left alone" in resumed.err
    words = ("resume", run_id, "--store", str(tmp_path / "another-disk"), "--max-iterations", "5")
    said = with_server(*words).refusal
    assert f"--algorithm {WANDER}" in said
    assert str(code) not in said
    elsewhere = with_server(*words, "--algorithm", WANDER, "--json").well().answer
    assert (elsewhere["resumed_from"], elsewhere["iteration"]) == (4, 5)
    assert not ran.exists()
