"""`qcsc-loop report`: a run as one file, opened in a real browser."""

from __future__ import annotations

import csv
import io
import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from chromium import Chromium, Page
from loop.reports.stored_runs import StoredRun, energies
from qcsc_loop.jobs.outcome import JobState
from qcsc_loop.rules.reason import Reason
from qcsc_loop.store.live import ChartRecord, LogLine, SideFiles
from system.command_line import WANDER, CommandLine, setting

TWELVE = 12
COVERED = """[...document.querySelectorAll('#%s canvas')].map(canvas => {
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    const seen = new Set();
    for (let k = 0; k < pixels.length; k += 4)
        if (pixels[k + 3]) seen.add(pixels.slice(k, k + 3).join());
    return seen.size;
})"""
TRACEBACK = """Traceback (most recent call last):
  File "/opt/site-packages/qcsc_loop/loop/hook_caller.py", line 9, in call
    await hook()
  File "/home/ada/ising.py", line 48, in evaluate
    check(field)
RuntimeError: the field is not positive
"""
HOSTILE = (
    "</script><script>document.title='caught'</script><img src=http://x.invalid/a onerror=alert(1)>"
)
BOX = """(box => [box.left, box.top, box.width])(
    document.querySelector('#curve .u-over').getBoundingClientRect())"""


def colours(page: Page, chart: str) -> int:
    """How many colours a chart has; 0 if it is blank."""
    return int((page.value(COVERED % chart) or [0])[0])


@pytest.fixture
def report(qcsc_loop: CommandLine, tmp_path: Path) -> Callable[[str], Path]:
    """A run's page, on disk."""

    def write(run_id: str) -> Path:
        target = tmp_path / "page.html"
        qcsc_loop("report", run_id, "-o", target).well()
        return target

    return write


def require_quiet(page: Page, file: Path) -> None:
    """Nothing failed, and nothing but the file was asked for."""
    assert page.value("document.documentElement.dataset.drawn") == "yes"
    assert (page.errors, page.requests) == ([], [file.as_uri()])


def failed_run(root: Path) -> None:
    """A run that was resumed, and failed with a job."""
    run = StoredRun(root, parameters={"shots": 8000, "system": {"basis": "6-31g"}})
    run.driver(1).driver(
        2,
        Reason.FAILED,
        iteration=109,
        because="RuntimeError ising.py:48",
        error="RuntimeError: the field is not positive",
        traceback=TRACEBACK,
    )
    run.history(energies(109), resumed=60)
    run.job(58).job(
        109, JobState.TIMEOUT, reason="the walltime was reached", tail="x" * 5000 + "THE END"
    )
    warning = LogLine(
        epoch=1, level="warning", kind="trouble", iteration=3, text="a line went down"
    )
    SideFiles(run.store, run.run_id).add_to_log([warning])


def test_a_page_says_how_a_run_stands_what_it_cost_and_what_to_type(
    qcsc_loop: CommandLine,
    chromium: Chromium,
    report: Callable[[str], Path],
) -> None:
    failed_run(qcsc_loop.store)
    file = report("water")
    with chromium.open(file) as page:
        require_quiet(page, file)
        said = page.text()
        assert page.text("h1") == "water" and page.text(".pill") == "failed"
        assert page.text("#command") == "qcsc-loop resume water"
        for words in (
            "Failed after 109 iterations (RuntimeError ising.py:48)",
            "mHa above FCI",
            "of 2,000",
            "109,000",
            "/home/ada/ising.py:48 in evaluate\n    check(field)\nRuntimeError: the field is not",
            "the walltime was reached",
            "1 warning",
            "system.basis",
            "1 TIMEOUT, 1 COMPLETED",
            "interrupted",
        ):
            assert words in said, words
        assert page.text("section:nth-of-type(5) tbody tr").startswith("109/evaluate/solve")
        tail = page.value("document.querySelector('td details pre').textContent")
        assert tail.endswith("THE END") and len(tail) == 2048


def test_its_charts_show_scalars_distances_and_stretches(
    qcsc_loop: CommandLine,
    chromium: Chromium,
    report: Callable[[str], Path],
) -> None:
    failed_run(qcsc_loop.store)
    file = report("water")
    with chromium.open(file) as page:
        plain, times = colours(page, "curve"), colours(page, "times")
        assert plain > 10 and times > 3
        assert page.value("document.getElementById('reset').hidden") is True
        page.click("#log")
        assert colours(page, "curve") > 10
        page.click("#log")
        page.click("#scalars .chip:nth-child(3)")  # error, on an axis of its own
        assert page.value("document.querySelectorAll('.chip[aria-pressed=true]').length") == 3
        dots = "[...document.querySelectorAll('.chip[aria-pressed=true] i')]"
        assert len(set(page.value(f"{dots}.map(dot => dot.style.background)"))) == 3
        page.click("#scalars .chip:nth-child(3)")
        left, top, width = page.value(BOX)
        page.drag((left + width * 0.5, top + 50), (left + width * 0.75, top + 60))
        assert page.value("document.getElementById('reset').hidden") is False
        page.mouse("Moved", left + width * 0.5, top + 40)
        shown = page.text("#at")
        assert shown == page.text("#of") and shown.startswith("iteration ")  # one cursor for both
        assert 55 < int(shown.removeprefix("iteration ")) < 90
        page.click("#reset")
        assert page.value("document.getElementById('reset').hidden") is True
        require_quiet(page, file)


def test_dark_is_dark_and_narrow_is_narrow(
    qcsc_loop: CommandLine,
    chromium: Chromium,
    report: Callable[[str], Path],
) -> None:
    failed_run(qcsc_loop.store)
    file = report("water")
    background = "getComputedStyle(document.body).backgroundColor"
    with chromium.open(file, width=400, dark=True) as page:
        assert max(map(int, page.value(background)[4:-1].split(","))) < 60
        assert page.value("document.documentElement.scrollWidth") == 400
        require_quiet(page, file)
    with chromium.open(file) as page:
        assert min(map(int, page.value(background)[4:-1].split(","))) > 200


def test_every_iteration_is_in_its_csv(
    qcsc_loop: CommandLine,
    chromium: Chromium,
    report: Callable[[str], Path],
) -> None:
    values = {"=energy": [1.5, math.nan, -math.inf], 'a,"b"': [1.0, 2.0, 3.0]}
    StoredRun(qcsc_loop.store).driver().history(values, chart=None)
    file = report("water")
    blob = """new Promise(found => {
        URL.createObjectURL = blob => { blob.text().then(found); return '#'; };
        document.getElementById('csv').click();
    })"""
    with chromium.open(file) as page:
        rows = list(csv.reader(io.StringIO(page.value(blob))))
    assert rows == [
        ["iteration", "'=energy", 'a,"b"'],
        ["1", "1.5", "1"],
        ["2", "NaN", "2"],
        ["3", "-inf", "3"],
    ]


@pytest.mark.parametrize(
    ("iterations", "bytes_at_most"),
    [(1_000, 500_000), pytest.param(50_000, 2_000_000, marks=pytest.mark.thorough)],
)
def test_a_long_run_is_a_small_file(
    qcsc_loop: CommandLine,
    chromium: Chromium,
    report: Callable[[str], Path],
    iterations: int,
    bytes_at_most: int,
) -> None:
    chance = random.Random(7)
    names = ["energy", "current", "error", *(f"scalar_{k}" for k in range(TWELVE - 3))]
    values = {name: [-76 + chance.gauss(0, 1e-3) for _ in range(iterations)] for name in names}
    values["scalar_3"][iterations // 3] = 1e6  # one spike
    StoredRun(qcsc_loop.store).driver().history(values, resumed=iterations // 2)
    file = report("water")
    assert file.stat().st_size <= bytes_at_most
    with chromium.open(file) as page:
        require_quiet(page, file)
        assert colours(page, "curve") > 10
        spike = "JSON.parse(document.getElementById('data').textContent).scalars.scalar_3.values"
        assert page.value(f"Math.max(...{spike})") == 1e6
        assert f"the last 500 of {iterations:,}" in page.text()


@pytest.mark.parametrize(
    ("values", "instead"),
    [
        ([], "no iteration is committed yet"),
        ([-76.0], None),
        ([math.nan] * 3, "no number yet"),
        ([1e308, -1e308, 5e-324], None),
        ([0.0] * 9, None),
    ],
)
def test_any_values_are_a_page(
    qcsc_loop: CommandLine,
    chromium: Chromium,
    report: Callable[[str], Path],
    values: list[float],
    instead: str | None,
) -> None:
    StoredRun(qcsc_loop.store).driver(1, None).history({"energy": values} if values else {})
    file = report("water")
    with chromium.open(file) as page:
        assert (page.text("#curve") == instead) == (colours(page, "curve") == 0)
        page.click("#log")
        require_quiet(page, file)
        assert page.text(".pill") == "driver gone"


@pytest.mark.guarantee("S19")
def test_what_others_wrote_is_text(
    qcsc_loop: CommandLine,
    chromium: Chromium,
    report: Callable[[str], Path],
) -> None:
    chart = ChartRecord(headline=HOSTILE, unit=HOSTILE, references={HOSTILE: 1.0})
    run = StoredRun(
        qcsc_loop.store, parameters={HOSTILE: HOSTILE, "nested": {"a\u2028b": "\x1b[2J"}}
    )
    run.driver(1, Reason.FAILED, because=HOSTILE, error=HOSTILE, traceback=HOSTILE)
    run.history({HOSTILE: [1.0, 2.0], "__proto__": [1.0, 2.0]}, chart=chart)
    run.job(1, JobState.FAILED, name="x'\"<b>", reason=HOSTILE, tail=HOSTILE)
    line = LogLine(epoch=1, level="error", kind="trouble", text=HOSTILE)
    SideFiles(run.store, run.run_id).add_to_log([line])
    file = report("water")
    with chromium.open(file) as page:
        require_quiet(page, file)
        assert page.value("document.title") == "water · failed"
        assert page.value("document.querySelectorAll('img').length") == 0
        assert HOSTILE in page.text()


@pytest.mark.guarantee("S19")
def test_a_page_may_run_nothing_that_is_not_its_own(
    qcsc_loop: CommandLine,
    chromium: Chromium,
    report: Callable[[str], Path],
) -> None:
    StoredRun(qcsc_loop.store).driver().history(energies(3))
    file = report("water")
    with chromium.open(file) as page:
        page.value(
            "document.body.append(Object.assign(document.createElement('script'), "
            "{textContent: \"document.title = 'caught'\"}))"
        )
        assert page.value("document.title") == "water · interrupted"
        assert len(page.errors) == 1 and "Content Security Policy" in page.errors[0]


def test_a_damaged_run_has_a_page(
    qcsc_loop: CommandLine,
    chromium: Chromium,
    report: Callable[[str], Path],
) -> None:
    StoredRun(qcsc_loop.store).driver().history(energies(5))
    for record in (qcsc_loop.store / "water").rglob("*.json"):
        record.write_text("{")
    file = report("water")
    with chromium.open(file) as page:
        require_quiet(page, file)
        assert page.text(".pill") == "damaged"


def test_a_run_that_is_being_driven_has_a_page(
    qcsc_loop: CommandLine, chromium: Chromium, report: Callable[[str], Path], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gate.mkdir()
    words = ("--no-prefect", "--run-id", "wander", *setting(gate=str(gate), gates=[3]))
    driver = qcsc_loop.start("run", WANDER, *words)
    driver.until_there_is(gate / "3.reached")
    file = report("wander")
    with chromium.open(file) as page:
        require_quiet(page, file)
        assert page.text(".pill") == "running"
        assert page.text("#command") == "qcsc-loop watch wander"
        assert page.text("#rows tbody tr").startswith("2")


def test_without_a_name_it_is_the_runs_own(qcsc_loop: CommandLine) -> None:
    StoredRun(qcsc_loop.store).driver().history(energies(2))
    said = qcsc_loop("report", "water").well().out
    assert said.startswith("water.html: water, interrupted")
    assert (qcsc_loop.folder / "water.html").read_bytes().startswith(b"<!doctype html>")


def test_what_cannot_be_written_is_one_sentence_and_leaves_nothing(qcsc_loop: CommandLine) -> None:
    StoredRun(qcsc_loop.store).driver()
    refused = qcsc_loop("report", "water", "-o", "nowhere/page.html").refusal
    assert refused.startswith("nowhere/page.html cannot be written: No such file or directory")
    assert "there is no run 'fire'" in qcsc_loop("report", "fire").refusal
    assert not list(qcsc_loop.folder.glob("*.html"))
