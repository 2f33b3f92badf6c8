"""A run on so many lines: what is shown, what is left out, and that nothing is cut.

`golden/` keeps two views of a run as SQD leaves it. After a wanted change,
`QCSC_LOOP_REWRITE_GOLDEN=1 pytest -n0 tests/loop/reports/test_frame.py` writes them anew; read the
difference.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text

from loop.reports import sqd_like
from loop.reports.views import values_view
from qcsc_loop.jobs.entries import Intent, JobRecord
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.outcome import JobMetrics
from qcsc_loop.reports.columns import Columns
from qcsc_loop.reports.frame import Frames, Space, chart_lines, fold, stacked
from qcsc_loop.reports.iterations import iteration_lines
from qcsc_loop.reports.looking import Look, pace
from qcsc_loop.reports.status import RunStatus
from qcsc_loop.store.live import ChartRecord, LiveParts, LogLine

GOLDEN = Path(__file__).with_name("golden")
REWRITE = bool(os.environ.get("QCSC_LOOP_REWRITE_GOLDEN"))
DATE = (sqd_like.BEGAN + timedelta(minutes=3)).astimezone()


def space(width: int = 80, height: int = 24, **more: object) -> Space:
    given: dict[str, object] = {"now": sqd_like.NOW, "date": DATE, "keys": True, **more}
    return Space(width=width, height=height, **given)  # type: ignore[arg-type]


def drawn(look: Look, width: int = 80, height: int = 24, **more: object) -> list[str]:
    lines = Frames().draw(look, space(width, height, **more))
    return [line.plain.rstrip() for line in lines]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (160, 50)])
def test_a_run_is_drawn_as_it_is_kept_here(width: int, height: int) -> None:
    file = GOLDEN / f"{width}x{height}.txt"
    text = "\n".join(drawn(sqd_like.look(), width, height)) + "\n"
    if REWRITE:
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()


@pytest.mark.parametrize("width", [1, 7, 15, 20, 33, 40, 57, 80, 119, 160, 400])
@pytest.mark.parametrize("height", [1, 2, 3, 5, 8, 12, 24, 50, 120])
def test_it_fits_and_no_number_is_cut(width: int, height: int) -> None:
    found = Frames().draw(sqd_like.look(), space(width, height))
    assert len(found) <= height
    assert all(line.cell_len <= width for line in found)
    energies = {f"{v:#.9g}" for name in ("energy", "current") for v in _scalars(name)}
    for number in re.findall(r"-76\.\d{4,}", "\n".join(line.plain for line in found[:2])):
        assert number in energies


def _scalars(name: str) -> list[float]:
    return list(sqd_like.history().scalars[name])


def test_what_counts_most_is_there_on_the_smallest_terminal() -> None:
    name, headline, progress, phase = drawn(sqd_like.look(), 20, 4)
    assert name.split() == ["sqd-long", "●", "running"]
    assert headline == " energy -76.1047460"
    assert progress == " iteration 110/2000"
    assert phase.startswith(" ▸ evaluate 0.4")


def test_every_column_is_whole_and_the_rest_is_counted() -> None:
    lines = iteration_lines(sqd_like.view(), width=60, height=4)
    head, *rows = (line.plain.split() for line in lines)
    assert head == ["iteration", "energy", "moved", "current", "seconds", "+5"]
    assert [row[0] for row in rows] == ["109", "108", "107"]
    assert all(len(row) == 5 for row in rows)


def test_a_scalar_that_has_no_value_has_no_column_and_one_that_stands_still_comes_last() -> None:
    head = iteration_lines(sqd_like.view(), width=200, height=3)[0].plain.split()
    assert "error" not in head
    assert head.index("spread") < head.index("strings")


@pytest.mark.parametrize("width", [60, 200])
def test_the_headline_has_nine_digits_and_whole_numbers_are_whole(width: int) -> None:
    history = replace(sqd_like.history(2), scalars={"energy": [-1.0, -1.05], "n": [3.0, 1e5]})
    lines = iteration_lines(sqd_like.view(history=history), width=width, height=3)
    assert [line.plain.split()[1] for line in lines[1:]] == ["-1.05000000", "-1"]
    assert lines[1].plain.split()[3] == "100000"


def test_in_ascii_nothing_else_is_shown() -> None:
    lines = drawn(sqd_like.look(), 100, 40, ascii_only=True)
    assert all(line.isascii() for line in lines)
    assert any("==-" in line for line in lines)


@pytest.mark.parametrize("ascii_only", [True, False])
def test_words_of_others_command_nothing(ascii_only: bool) -> None:
    hostile = "a\x1b[2Jb\u202ec\nd日本"
    jobs = tuple(
        job.model_copy(update={"what": hostile, "reason": hostile}) for job in sqd_like.live().jobs
    )
    parts = (LiveParts(label=hostile, done=1, total=2),)
    live = sqd_like.live(phase=hostile, jobs=jobs, parts=parts, warnings=(hostile,), warned=1)
    chart = ChartRecord(headline=hostile, references={hostile: 1.0})
    history = replace(sqd_like.history(5), scalars={hostile: [1.0, 2.0, 3.0, 2.0, 1.5]})
    look = sqd_like.look(live=live, chart=chart, history=history)
    look = replace(look, log=[LogLine(epoch=1, kind="hook", text=hostile)])
    for below in ("iterations", "log", "jobs"):
        for line in Frames().draw(look, space(120, 40, ascii_only=ascii_only, below=below)):
            assert line.cell_len <= 120
            assert line.plain.isprintable()


def test_a_gone_driver_is_said_with_its_jobs_and_since_when() -> None:
    look = sqd_like.look(status=RunStatus.GONE, silent=3600.0)
    text = " ".join(" ".join(drawn(look)).split())
    since = DATE - timedelta(hours=1)
    words = f"driver gone since {since:%H:%M}"
    assert words in text or f"driver gone since {since:%Y-%m-%d %H:%M}" in text
    assert "(in evaluate of 110)" in text


@pytest.mark.parametrize("status", list(RunStatus))
@pytest.mark.parametrize("iterations", [0, 1, 2])
def test_every_status_and_a_run_that_has_hardly_begun(status: RunStatus, iterations: int) -> None:
    empty: dict[str, Any] = {"live": None, "driver": None, "record": None, "settings": None}
    for changes in (dict[str, Any](), empty):
        lines = drawn(sqd_like.look(iterations, status=status, **changes))
        assert str(status) in lines[0]


def test_numbers_that_are_none_leave_a_gap_and_do_no_harm() -> None:
    values = [math.nan, 1.0, math.inf, -math.inf, 2.0, math.nan]
    history = replace(sqd_like.history(6), scalars={"energy": values, "current": values})
    lines = drawn(sqd_like.look(history=history))
    assert any(line.split()[:2] == ["5", "-"] for line in lines)


def test_a_clock_that_was_set_back_shows_no_negative_time() -> None:
    live = sqd_like.live(since=sqd_like.BEGAN + timedelta(days=1))
    assert any("evaluate 0.0 s" in line for line in drawn(sqd_like.look(live=live)))


def test_time_that_is_in_no_hook_is_rest_and_queues_are_apart() -> None:
    found = pace(sqd_like.view())
    assert found.whole == pytest.approx(2.0)
    assert found.phases["rest"] == pytest.approx(2.0 - 1.31 - 0.56 - 0.024, abs=1e-3)
    assert found.phases["queue"] == 0


def job(iteration: int, name: str, queue_seconds: float) -> JobRecord:
    """One of `evaluate`'s."""
    key = JobKey(run_id="sqd-long", run_uid="u", iteration=iteration, step="evaluate", name=name)
    intent = Intent(key=key, epoch=2, site={}, folder="/f", input_sha256="0")
    submitted = sqd_like.BEGAN
    started = submitted + timedelta(seconds=queue_seconds)
    return JobRecord(intent, metrics=JobMetrics(submitted=submitted, started=started))


def test_of_jobs_that_wait_at_once_the_longest_counts_and_no_longer_than_its_step() -> None:
    jobs = [job(k, name, s) for k in range(110) for name, s in (("a", 0.1), ("b", 0.4))]
    found = pace(sqd_like.view(jobs=jobs)).phases
    assert found["queue"] == pytest.approx(0.4)
    assert found["evaluate"] == pytest.approx(0.16)
    late = pace(sqd_like.view(jobs=[job(109, "a", 1000.0)])).phases
    assert late["queue"] == pytest.approx(
        0.56 / 20
    )  # clocks differ: a step waits no longer than it takes


def test_a_chain_has_a_pace_though_each_iteration_has_a_driver_of_its_own() -> None:
    history = replace(sqd_like.history(50), epochs=list(range(1, 51)))
    look = sqd_like.look(history=history)
    assert pace(look.view).whole == pytest.approx(1.31 + 0.56 + 0.024, abs=1e-3)
    assert not any("┊" in line for line in drawn(look))


def test_what_is_pressed_is_shown_instead_of_the_table() -> None:
    log = [LogLine(epoch=1, level="warning", kind="trouble", iteration=7, step="sample", text="hm")]
    shown = drawn(replace(sqd_like.look(), log=log), below="log")
    assert any(line.endswith(" sample[7] hm") for line in shown)
    assert any("l iterations" in line for line in shown)
    assert any(line == " no jobs" for line in drawn(sqd_like.look(), below="jobs"))


def test_several_runs_share_the_screen() -> None:
    looks = [sqd_like.look(run_id=f"run-{n}") for n in range(5)]
    for height in (5, 11, 24, 60):
        lines = list(
            stacked(looks, [Frames() for _ in looks], lambda room: space(80, room or height))  # noqa: B023
        )
        assert len(lines) <= height
        named = {n for n in range(5) if any(f"run-{n}" in line.plain for line in lines)}
        left = next((line.plain for line in lines if "more run" in line.plain), "0")
        assert len(named) + int(re.findall(r"\d+", left)[0]) == 5


def test_a_chart_is_drawn_anew_where_something_was_committed() -> None:
    frames, first = Frames(), sqd_like.look(50)
    before = [line.plain for line in frames.draw(first, space())]
    assert [line.plain for line in frames.draw(first, space())] == before
    after = [line.plain for line in frames.draw(sqd_like.look(60), space())]
    assert any(line.rstrip().endswith(" 59") for line in after)


@pytest.mark.parametrize("width", [1, 5, 30])
def test_a_sentence_is_folded_between_words(width: int) -> None:
    lines = fold("the quick brown fox, and a-word-that-is-longer-than-a-line", width)
    assert all(Text(line).cell_len <= width for line in lines)
    joined = "".join("".join(lines).split())
    assert joined == "thequickbrownfox,anda-word-that-is-longer-than-a-line"


def test_a_run_without_a_scalar_is_drawn() -> None:
    history = Columns(iterations=[0, 1], epochs=[1, 1], committed=[0.0, 2.0])
    lines = drawn(sqd_like.look(history=history, chart=ChartRecord()))
    assert any(line.split()[:1] == ["1"] for line in lines)


def test_what_is_on_another_scale_does_not_press_the_curve_flat() -> None:
    falling = [2.0**-k for k in range(20)]
    plain = values_view(falling, "change")
    counted = values_view(falling, "change", beside=("shots",))
    history = replace(counted.history, scalars={**counted.history.scalars, "shots": [1e5] * 20})
    drawn = [
        list(map(str, chart_lines(each, 60, 12)))
        for each in (plain, replace(counted, history=history))
    ]
    assert drawn[0] == drawn[1]
