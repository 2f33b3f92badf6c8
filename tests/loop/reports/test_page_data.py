"""The numbers that a run's page computes with: where time went, and what of a long run is kept."""

from __future__ import annotations

import json
import math
from pathlib import Path

from loop.reports.stored_runs import StoredRun, energies
from loop.reports.views import energy_view, values_view
from qcsc_loop.reports.page_data import ROWS, WHOLE, as_script, page_data, times
from qcsc_loop.reports.view import RunReader


def test_the_queue_is_apart_from_the_step_that_waited_in_it(tmp_path: Path) -> None:
    run = StoredRun(tmp_path).driver().history(energies(3))  # evaluate takes 0.5 s, sample 1, 2, 3
    run.job(2, queue_seconds=0.2).job(2, name="other", queue_seconds=0.3)  # they wait together
    run.job(3, queue_seconds=9.0)  # by a scheduler's clock: no more than the step took
    found = times(RunReader(run.store, run.run_id).look())
    assert found["iterations"] == [1, 2, 3]
    assert found["parts"]["in the queue"] == [0.0, 0.3, 0.5]
    assert found["parts"]["evaluate"] == [0.5, 0.2, 0.0]
    assert found["parts"]["sample"] == [1.0, 2.0, 3.0]
    assert found["parts"]["rest"] == [0.0, 0.49, 0.0]  # of the 3 s between two commits


def test_bars_of_a_long_run_are_means() -> None:
    found = times(energy_view(6_000))
    assert len(found["iterations"]) <= 600
    assert found["iterations"][:3] == [1, 11, 21]
    assert found["parts"]["rest"][1] == 2.0


def test_up_to_some_length_every_value_is_there() -> None:
    data = page_data(values_view([1 / 3, math.nan, -math.inf, 2.0]))
    assert data["scalars"]["value"] == {"first": 1, "values": [0.333333333333, "NaN", "-inf", 2]}
    assert (
        data["whole"] and len(page_data(energy_view(WHOLE))["scalars"]["energy"]["values"]) == WHOLE
    )


def test_of_a_long_run_the_extremes_the_gaps_and_the_last_rows_are_there() -> None:
    values = [math.sin(k) for k in range(20_000)]
    values[7_777], values[12_345] = 50.0, -50.0
    values[3_000:3_100] = [math.nan] * 100
    data = page_data(values_view(values))
    line = data["scalars"]["value"]
    assert len(line["values"]) < 2_100 and not data["whole"]
    at, places = 0, {}
    for step, value in zip(line["steps"], line["values"], strict=True):
        at += step
        places[at] = value
    assert (places[7_778], places[12_346]) == (50, -50)
    assert "NaN" in places.values()
    assert {1, 20_000} <= set(places)
    assert data["rows"]["iterations"] == list(range(20_001 - ROWS, 20_001))
    assert data["rows"]["scalars"]["value"] == [float(f"{v:.12g}") for v in values[-ROWS:]]


def test_as_a_script_it_ends_no_script_and_is_the_same_json() -> None:
    data = {"</script><!--": ["&amp;", "\u2028", "\ud800", 1.5, None]}
    written = as_script(data)
    assert not {"<", ">", "&", "\u2028"} & set(written)
    assert json.loads(written) == data
