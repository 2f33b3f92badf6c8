"""The pages of all runs, as a browser has them: live, to one person, and nothing can be changed."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chromium import Chromium, Page
from loop.reports.stored_runs import StoredRun, energies
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.rules.reason import Reason
from system.command_line import WANDER, Background, CommandLine, setting
from waiting import until

EVIL = "</script><img src=x onerror=alert(1)>"


def stored(store: Path, run_id: str, reason: Reason | None, iterations: int = 40) -> StoredRun:
    run = StoredRun(store, run_id, parameters={"name": EVIL})
    run.driver(reason=reason, iteration=iterations, because=EVIL)
    return run.history(energies(iterations))


class Ui:
    """A server that is running."""

    def __init__(self, started: Background) -> None:
        self.started = started
        until(lambda: self._said or started.process.poll() is not None, "it says where it is")
        assert self._said, started.said
        self.url = self._said[0]

    @property
    def _said(self) -> list[str]:
        lines = (line.strip() for line in self.started.said.splitlines())
        return [line for line in lines if line.startswith("http://127.0.0.1:")]

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return json.load(answer)


@pytest.fixture
def ui(qcsc_loop: CommandLine) -> Iterator[Ui]:
    """Of a store with four runs, of which one wants somebody."""
    stored(qcsc_loop.store, "gone", None).job(3, None)
    stored(qcsc_loop.store, "water", Reason.CONVERGED).job(2, JobState.FAILED)
    stored(qcsc_loop.store, "wall", Reason.MAX_ITERATIONS, 60)
    StoredRun(qcsc_loop.store, "fresh")
    found = Ui(qcsc_loop.start("ui"))
    yield found
    found.started.send(signal.SIGINT)
    assert found.started.process.wait(60) in (0, 130, -signal.SIGINT)
    assert "Traceback" not in found.started.said


def is_drawn(page: Page) -> None:
    until(lambda: page.value("document.documentElement.dataset.drawn"), "the page is drawn")


def names(page: Page) -> list[str]:
    words = "[...document.querySelectorAll('#runs tbody tr')].map((row) => row.dataset.run)"
    return list(page.value(words))


def is_well(page: Page, ui: Ui) -> None:
    assert page.errors == []
    assert [asked for asked in page.requests if not asked.startswith(ui.url)] == []


def test_the_list_has_all_runs_trouble_first_and_asks_nobody_else(
    chromium: Chromium, ui: Ui
) -> None:
    with chromium.open(ui.url) as page:
        is_drawn(page)
        assert names(page) == ["gone", "fresh", "wall", "water"]
        assert "4 runs · 1 want you" in page.text("#count")
        assert "driver gone" in page.text("tr[data-run=gone]")
        assert "1 job left" in page.text("tr[data-run=gone]")
        assert "40,000 shots" in page.text("tr[data-run=water]")
        until(lambda: page.value("document.querySelectorAll('.spark path').length") == 3, "curves")
        is_well(page, ui)


def test_it_is_filtered_and_sorted(chromium: Chromium, ui: Ui) -> None:
    with chromium.open(ui.url) as page:
        is_drawn(page)
        write = "document.getElementById('filter').value = '{}';"
        tell = "document.getElementById('filter').dispatchEvent(new Event('input'))"
        page.value(write.format("wa status:converged") + tell)
        assert names(page) == ["water"]
        page.value(write.format("") + tell)
        page.click("th[data-by=run] button")
        assert names(page) == ["fresh", "gone", "wall", "water"]
        page.click("th[data-by=run] button")
        assert names(page) == ["water", "wall", "gone", "fresh"]
        is_well(page, ui)


def test_a_run_has_its_report_and_what_others_wrote_is_text(chromium: Chromium, ui: Ui) -> None:
    with chromium.open(ui.url + "run/water") as page:
        until(lambda: page.value("document.documentElement.dataset.live"), "it has asked")
        is_drawn(page)
        assert page.text("h1") == "water"
        assert EVIL in page.text()
        assert page.value("document.querySelectorAll('canvas').length") == 2
        assert page.value("document.images.length") == 0
        assert page.text("#log-tail") == "nothing was logged"
        is_well(page, ui)


def test_runs_are_compared(chromium: Chromium, ui: Ui) -> None:
    with chromium.open(ui.url + "compare?run=water&run=wall") as page:
        assert page.text("h1") == "water · wall"
        assert page.value("document.querySelectorAll('.picture > svg').length") == 1
        assert "iterations" in page.text()
        assert "qcsc-loop plot water wall" in page.text()
        is_well(page, ui)


def test_pages_follow_a_run_that_goes_on(
    chromium: Chromium, ui: Ui, qcsc_loop: CommandLine, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gate.mkdir()
    words = ("run", WANDER, "--no-prefect", "--run-id", "live", "--max-iterations", "3")
    with chromium.open(ui.url) as page:
        is_drawn(page)
        driver = qcsc_loop.start(*words, *setting(gate=str(gate), gates=[2]))
        driver.until_there_is(gate / "2.reached")
        until(lambda: "live" in names(page), "the new run is in the list")
        until(lambda: "running" in page.text("tr[data-run=live]"), "it runs")
        with chromium.open(ui.url + "run/live") as own:
            until(lambda: "sample of iteration 2" in own.text("#live"), "it says what is done")
            (gate / "2.open").touch()
            assert driver.result().code == 0
            until(lambda: own.text(".pill") == "limit reached", "the page is made anew at the end")
            is_well(own, ui)
        until(lambda: "limit reached" in page.text("tr[data-run=live]"), "the list knows its end")
        is_well(page, ui)


def refused(request: str | urllib.request.Request) -> tuple[int, str]:
    """The code and the words of an answer that is none."""
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=60)
    with error.value as answer:
        return answer.code, answer.read().decode()


@pytest.mark.parametrize("path", ["", "runs.json", "run/water", "files/ui.css"])
def test_nobody_without_the_token_is_answered(ui: Ui, path: str) -> None:
    base = ui.url.rstrip("/").rpartition("/")[0]
    for token in ("", "wrong/", "wrong/../"):
        code, said = refused(f"{base}/{token}{path}")
        assert code == 404
        assert "water" not in said


def test_nothing_can_be_sent(ui: Ui) -> None:
    for method in ("POST", "PUT", "DELETE"):
        request = urllib.request.Request(ui.url + "run/water", method=method, data=b"")
        assert refused(request)[0] == 405


@pytest.mark.parametrize("name", ["..", "nobodys", "%2e%2e%2fetc", "water%00"])
def test_what_is_no_run_is_not_found(ui: Ui, name: str) -> None:
    for page in ("run", "live", "files"):
        assert refused(f"{ui.url}{page}/{name}")[0] == 404


def test_only_what_is_new_is_sent(ui: Ui, qcsc_loop: CommandLine) -> None:
    until(lambda: ui.get("runs.json")["whole"], "all is read")
    version = 0

    def settled() -> bool:
        nonlocal version
        before, version = version, ui.get("runs.json")["version"]
        return before == version and all(len(r["curve"]) for r in rows() if r["iteration"])

    def rows() -> list[Any]:
        return list(ui.get("runs.json")["rows"])

    until(settled, "all curves are made")
    assert ui.get(f"runs.json?after={version}")["rows"] == []
    stored(qcsc_loop.store, "newest", Reason.CONVERGED)
    until(lambda: ui.get(f"runs.json?after={version}")["rows"], "the new one is there")
    assert {row["run"] for row in ui.get(f"runs.json?after={version}")["rows"]} == {"newest"}


def test_a_socket_is_one_persons_alone(qcsc_loop: CommandLine, tmp_path: Path) -> None:
    stored(qcsc_loop.store, "water", Reason.CONVERGED)
    path = tmp_path / "ui.sock"
    started = qcsc_loop.start("ui", "--uds", path)
    until(lambda: path.exists() and "http://" in started.said, "it is there")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    token = started.said.rstrip().rstrip("/").rpartition("/")[2].split()[0]
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))
    connection.request("GET", f"/{token}/runs.json")
    assert connection.getresponse().status == 200
    connection.close()
    started.send(signal.SIGTERM)
    started.process.wait(60)
    assert not path.exists()


def test_a_port_that_is_taken_is_named(qcsc_loop: CommandLine) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        refusal = qcsc_loop("ui", "--port", str(port)).refusal
    assert f"port {port} of 127.0.0.1 cannot be had: {os.strerror(98)}" in refusal
    assert "--port N" in refusal


def test_of_many_runs_the_first_are_shown_and_more_where_they_are_asked_for(
    chromium: Chromium, qcsc_loop: CommandLine
) -> None:
    for number in range(160):
        stored(qcsc_loop.store, f"run-{number:03d}", Reason.CONVERGED, 3)
    ui = Ui(qcsc_loop.start("ui"))
    with chromium.open(ui.url) as page:
        is_drawn(page)
        assert page.text("#count").startswith("160 runs")
        assert len(names(page)) == 150
        page.click("#rest button")
        assert len(names(page)) == 160
        is_well(page, ui)
