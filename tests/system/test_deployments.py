"""Deployments from files on a live server: what they become, and what starts them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cluster.slurm import SlurmCluster
from qcsc_loop.testing import FakeIBMQuantum
from system.command_line import Background, command_line
from system.deployments import SLURM, START_SECONDS, TESTS, Site, with_toys
from system.server import PrefectServer
from thorough import first_rows
from waiting import until

pytestmark = pytest.mark.server

WANDER, RAISES, CHAIN = (f"system.toy_flows:{name}" for name in ("wander", "raises", "chain"))
TWO = {"max_iterations": 2}


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory,
    prefect_home: Path,
    server: PrefectServer,
    slurm: SlurmCluster,
) -> Iterator[Site]:
    folder, there = tmp_path_factory.mktemp("site"), with_toys(server) | slurm.environment
    with command_line(folder, prefect_home, **there) as line:
        yield Site(line, server, pool="triggered")


@pytest.fixture(scope="module")
def worker(site: Site) -> Background:
    """A worker of the site's pool."""
    site.server.post("/work_pools/", {"name": site.pool, "type": "process"})
    return site.worker()


class TestDeploy:
    def test_a_dry_run_says_what_would_change_and_changes_nothing(self, site: Site) -> None:
        served = Site(site.line, site.server)
        file = served.file(name="dry", flow=WANDER, algorithm={"size": 3})
        assert site.line("deploy", file, "--dry-run").well().out == "would create wander/dry\n"
        assert site.line("deploy", file).well().out == "create wander/dry\n"
        assert site.line("deploy", file, "--dry-run").well().out == "keep   wander/dry\n"

    def test_what_changed_in_the_file_is_named_and_changed(self, site: Site) -> None:
        served = Site(site.line, site.server)
        before: dict[str, Any] = {
            "name": "changed",
            "flow": WANDER,
            "concurrency": 2,
            "schedules": [{"cron": "0 3 * * *", "timezone": "Asia/Tokyo"}, {"interval": 60}],
            "triggers": [{"event": "lab.opened"}],
        }
        served.deploy(**before)
        after = {
            **before,
            "algorithm": {"size": 9},
            "schedules": [],
            "concurrency": 1,
            "triggers": [{"event": "lab.opened", "algorithm": {"size": 4}}],
        }
        (said,) = site.line("deploy", served.file(**after), "--json").well().answer
        changes = [(each["what"], each["was"], each["now"]) for each in said["changes"]]
        assert changes[:2] == [("parameters.algorithm.size", "8", "9"), ("concurrency", "2", "1")]
        assert [what for what, _, _ in changes[2:]] == ["schedules"] * 2 + ["triggers"] * 2
        assert '"cron": "0 3 * * *"' in changes[2][1] + changes[3][1]
        there = site.server.get("/deployments/name/wander/changed")
        assert there["schedules"] == []
        assert there["parameters"]["algorithm"]["size"] == 9
        assert there["global_concurrency_limit"]["limit"] == 1
        (automation,) = site.server.get(f"/automations/related-to/prefect.deployment.{there['id']}")
        assert automation["description"] == "Starts a run of qcsc-loop at each lab.opened."
        file = served.file(**after)
        assert site.line("deploy", file).well().out == "keep   wander/changed\n"

    def test_several_files_are_deployed_at_once_or_none_of_them(self, site: Site) -> None:
        served = Site(site.line, site.server)
        good = served.file(name="one-of-two", flow=WANDER)
        bad = served.file(name="two-of-two", flow=WANDER, algorithm={"size": 0})
        assert "size" in site.line("deploy", good, bad).refusal
        dry = site.line("deploy", good, "--dry-run").well().out
        assert dry == "would create wander/one-of-two\n"

    def test_the_examples_can_be_deployed(self, site: Site) -> None:
        files = sorted((TESTS.parent / "examples" / "deployments").glob("*.toml"))
        would = [
            f"would create {name}" for name in ("bitcount/lab", "sqd/nightly", "bitcount/triggered")
        ]
        said = site.line("deploy", "--dry-run", *files).well().out
        assert said.splitlines() == would

    def test_the_form_has_the_titles_and_limits_of_both_parameters(self, site: Site) -> None:
        Site(site.line, site.server).deploy(name="form", flow="bitcount")
        there = site.server.get("/deployments/name/bitcount/form")
        form = there["parameter_openapi_schema"]
        assert list(form["properties"]) == ["algorithm", "run"]
        qubits = form["definitions"]["BitCount"]["properties"]["num_qubits"]
        assert (qubits["title"], qubits["minimum"]) == ("Num Qubits", 2)
        for part in ("BitCount", "RunSettings"):  # a paragraph, no page of a manual
            assert "\n" not in form["definitions"][part]["description"]
        run = form["definitions"]["RunSettings"]["properties"]
        assert run["drive"]["enum"] == ["loop", "chain"]

    def test_a_value_out_of_its_limits_is_refused_before_there_is_a_flow_run(
        self, site: Site
    ) -> None:
        name = Site(site.line, site.server).deploy(name="limits", flow=WANDER)
        with pytest.raises(AssertionError, match="size"):
            site.start(name, algorithm={"size": 0})


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a flow that nobody offers": ({"flow": "quantum"}, "there is no flow 'quantum'"),
    "a module that is not there": ({"flow": "no.module:f"}, "No module named"),
    "a flow of other parameters": (
        {"flow": "system.toy_flows:untyped"},
        "must take (algorithm: YourAlgorithm, run: Run",
    ),
    "what is no flow": ({"flow": "system.toys:Wander"}, "is no Prefect flow"),
    "an unknown parameter": ({"algorithm": {"sise": 1}}, "did you mean 'size'?"),
    "an unknown table": ({"shedules": []}, "there is no shedules"),
    "an unknown run setting": ({"run": {"sed": 1}}, "there is no run.sed"),
    "an unknown parameter of a trigger": (
        {"triggers": [{"event": "lab.opened", "algorithm": {"sise": 1}}]},
        "triggers: there is no algorithm.sise",
    ),
    "no cron": ({"schedules": [{"cron": "at noon"}]}, "schedules"),
    "two kinds of schedule": ({"schedules": [{"cron": "* * * * *", "interval": 5}]}, "give one"),
    "no time zone": (
        {"schedules": [{"cron": "* * * * *", "timezone": "Asia/Tokio"}]},
        "did you mean Asia/Tokyo?",
    ),
    "a trigger that feeds on commits": (
        {"triggers": [{"event": "qcsc-loop.iteration.committed"}]},
        "would fire at every iteration",
    ),
    "a trigger that feeds on artifacts": (
        {"triggers": [{"event": "prefect.artifact.*"}]},
        "would fire at every iteration",
    ),
    "a trigger that feeds on everything": ({"triggers": [{"event": "*"}]}, "would fire at every"),
    "a trigger that feeds on its own runs": (
        {"triggers": [{"event": "qcsc-loop.run.converged"}]},
        "would include those that this starts",
    ),
    "a trigger on its own deployment": (
        {
            "triggers": [
                {
                    "event": "qcsc-loop.run.converged",
                    "labels": {"qcsc-loop.deployment": "wander/bad"},
                }
            ]
        },
        "would be started by its own runs",
    ),
    "one run id for every start": (
        {"schedules": [{"interval": 60}], "run": {"run_id": "same"}},
        "would be the same run",
    ),
    "wall time in a chain": (
        {"run": {"drive": "chain", "stop": [{"type": "wall-time", "seconds": 60}]}},
        "wall-time is a driver's",
    ),
    "a pool that is not there": ({"work_pool": "nowhere"}, "there is no work pool 'nowhere'"),
    "job variables without a pool": ({"job_variables": {"env": {}}}, "belong to a work_pool"),
}


class TestRefused:
    @pytest.mark.parametrize(("content", "says"), first_rows(4, REFUSED.values()), ids=REFUSED)
    def test_it_is_one_sentence_and_nothing_is_deployed(
        self, site: Site, content: dict[str, Any], says: str
    ) -> None:
        file = Site(site.line, site.server).file(**{"name": "bad", "flow": WANDER, **content})
        result = site.line("deploy", file)
        assert result.code == 2
        assert says in result.refusal
        rows = site.server.post("/deployments/filter", {})
        assert "bad" not in {row["name"] for row in rows}

    def test_without_a_server_it_says_so(self, site: Site) -> None:
        file = Site(site.line, site.server).file(name="bad", flow=WANDER)
        result = site.line("deploy", file, env={"PREFECT_API_URL": ""})
        assert "PREFECT_API_URL" in result.refusal

    def test_a_deployment_of_a_pool_is_not_served(self, site: Site) -> None:
        file = site.file(name="bad", flow=WANDER)
        assert "workers run it" in site.line("serve", file).refusal


class TestServed:
    def test_one_process_serves_several_files(self, site: Site) -> None:
        served = Site(site.line, site.server)
        trigger = {"event": "lab.served", "algorithm": {"size": "{{ event.payload.size }}"}}
        files = [
            served.file(
                name=name, flow=WANDER, run=TWO, triggers=[trigger], algorithm={"says": name}
            )
            for name in ("first", "second")
        ]
        server = site.line.start("serve", *files, "--poll", "0.5")
        until(lambda: server.said.count("serving wander/") == 2, "both are served", START_SECONDS)
        told = site.line("emit", "lab.served", "--payload", "size=71", "--json").well()
        assert told.answer["awaited"] is True and "nothing on the server" not in told.err
        first, second = (site.until_run(size=71, says=name) for name in ("first", "second"))
        for run in (first, second):
            site.until_status(run.run_id, "max_iterations")
        server.send(signal.SIGINT)
        assert "Traceback" not in server.result().err


class TestStarts:
    """What starts a run of a deployment, with which parameters."""

    @pytest.fixture(autouse=True)
    def _with_worker(self, worker: Background) -> None:
        assert worker.process.poll() is None, worker.result()

    @pytest.mark.thorough
    def test_cron_and_interval_start_runs_with_the_schedules_parameters(self, site: Site) -> None:
        every_minute = {"cron": "* * * * *", "timezone": "Asia/Tokyo", "algorithm": {"size": 11}}
        often = {"interval": 10, "algorithm": {"size": 12}, "run": {"seed": 5}}
        name = site.deploy(name="clock", flow=WANDER, run=TWO, schedules=[every_minute, often])
        until(lambda: site.runs(size=11) and site.runs(size=12), "both ran", START_SECONDS)
        file = site.file(name="clock", flow=WANDER, run=TWO)
        update = site.line("deploy", file).well().out.splitlines()
        assert [line.split()[0] for line in update] == ["update", "schedules:", "schedules:"], name
        interval = site.until_run(size=12)
        assert interval.record().seed == 5
        site.until_status(interval.run_id, "max_iterations")
        site.until_status(site.runs(size=11)[0].run_id, "max_iterations")

    @pytest.mark.thorough
    def test_an_rrule_is_a_schedule_too(self, site: Site) -> None:
        rule = {"rrule": "FREQ=WEEKLY;BYDAY=MO", "timezone": "Europe/Berlin"}
        name = Site(site.line, site.server).deploy(name="weekly", flow=WANDER, schedules=[rule])
        (schedule,) = site.server.get(f"/deployments/name/{name}")["schedules"]
        assert schedule["schedule"]["rrule"].endswith(rule["rrule"])
        assert schedule["schedule"]["timezone"] == "Europe/Berlin"

    def test_an_event_from_outside_starts_one_with_its_payload_as_parameters(
        self, site: Site
    ) -> None:
        site.deploy(
            name="told",
            flow=WANDER,
            algorithm={"says": "hello"},
            run=TWO,
            triggers=[
                {
                    "event": "lab.calibrated",
                    "algorithm": {"size": "{{ event.payload.bits }}"},
                    "run": {"run_id": "told-{{ event.payload.day }}"},
                },
                {"event": "lab.asked", "payload": True, "run": {"seed": 4}},
            ],
        )
        site.line("emit", "lab.calibrated", "--payload", "bits=21", "--payload", "day=7").well()
        site.line("emit", "lab.asked", "--payload", "size=22", "--payload", "goal=1").well()
        told, asked = site.until_run(size=21), site.until_run(size=22)
        assert told.run_id == "told-7"
        assert told.settings().parameters["says"] == "hello"
        assert (asked.settings().parameters["goal"], asked.record().seed) == (1, 4)
        site.until_status("told-7", "max_iterations")
        site.until_status(asked.run_id, "converged")

    @pytest.mark.thorough
    def test_a_file_that_appears_starts_one_for_its_content(
        self, site: Site, tmp_path: Path
    ) -> None:
        site.deploy(
            name="file",
            flow=WANDER,
            run=TWO,
            triggers=[
                {
                    "event": "data.arrived",
                    "algorithm": {"says": "{{ event.payload.path }}", "size": 31},
                }
            ],
        )
        words = ("emit", "files", tmp_path, "--event", "data.arrived", "--pattern", "*.dat")
        watcher = site.line.start(*words, "--every", "0.1")
        (tmp_path / "a.dat").write_text("one")
        (tmp_path / "not.txt").write_text("other")
        run = site.until_run(size=31)
        assert run.settings().parameters["says"] == str(tmp_path / "a.dat")
        (tmp_path / "b.dat").write_text("one")  # the same content
        (tmp_path / "c.dat").write_text("two")
        until(lambda: "c.dat" in watcher.said, "the watcher tells of the other content")
        watcher.end()
        (tmp_path / "d.dat").write_text("three")
        again = site.line(*words, "--once", "--every", "0.1", "--json").well()
        (seen,) = again.answers  # what was told of is no news
        assert seen["payload"]["path"] == str(tmp_path / "d.dat")
        said = watcher.said.splitlines()
        assert [line.rpartition("/")[2] for line in said] == ["a.dat", "c.dat"]

    @pytest.mark.thorough
    def test_another_runs_convergence_starts_one(self, site: Site) -> None:
        site.deploy(
            name="after",
            flow=WANDER,
            run=TWO,
            algorithm={"size": 41},
            triggers=[
                {
                    "event": "qcsc-loop.run.converged",
                    "about": "qcsc-loop.run.source",
                    "run": {"run_id": "after-{{ event.payload.run_id }}"},
                }
            ],
        )
        words = ("--run-id", "source", "--set", "goal=2")
        site.line("run", "system.toys:Wander", *words).well()
        run = site.until_run(size=41)
        assert run.run_id == "after-source"
        site.until_status("after-source", "max_iterations")

    def test_a_failed_job_starts_one(self, site: Site) -> None:
        site.deploy(
            name="repair",
            flow=WANDER,
            run=TWO,
            algorithm={"size": 51},
            triggers=[
                {
                    "event": "qcsc-loop.job.finished",
                    "labels": {"qcsc-loop.state": "FAILED", "qcsc-loop.deployment": "chain/fails"},
                    "algorithm": {
                        "says": "job {{ event.payload.job }} of {{ event.payload.run_id }}"
                    },
                }
            ],
        )
        name = site.deploy(
            name="fails",
            flow=CHAIN,
            run={"run_id": "failing"},
            algorithm={"exit_code": 3, "machine": SLURM},
        )
        site.start(name)
        run = site.until_run(size=51)
        assert run.settings().parameters["says"].endswith("of failing")

    @pytest.mark.thorough
    def test_a_new_calibration_of_a_backend_starts_one(self, site: Site) -> None:
        site.deploy(
            name="calibrated",
            flow=WANDER,
            run=TWO,
            algorithm={"size": 61},
            triggers=[
                {
                    "event": "backend.calibrated",
                    "about": "backend.ibm_manila",
                    "algorithm": {"says": "{{ event.payload.last_update_date }}"},
                }
            ],
        )
        with FakeIBMQuantum() as ibm:
            words = ("emit", "backend", "ibm_manila", "--once")
            assert site.line(*words, env=ibm.environment).well().out == ""  # that one is no news
            ibm.calibrate("ibm_manila", datetime(2026, 11, 1, 6, 30, tzinfo=UTC))
            assert "backend.ibm_manila" in site.line(*words, env=ibm.environment).well().out
            assert site.line(*words, env=ibm.environment).well().out == ""
        run = site.until_run(size=61)
        assert run.settings().parameters["says"].startswith("2026-11-01T06:30")
