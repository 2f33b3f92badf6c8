"""A trigger's templates, rendered as Prefect's server renders them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.server.utilities.user_templates import render_user_template_sync

from qcsc_loop.catalog import find_algorithm, installed_algorithms
from qcsc_loop.deployments.description import TriggerTable
from qcsc_loop.deployments.triggers import trigger
from qcsc_loop.parameters.build import build
from qcsc_loop.parameters.compare import to_plain


def rendered(base: dict[str, Any], payload: dict[str, Any], **table: Any) -> Any:
    """The algorithm's parameters of a flow run that an event with this payload starts."""
    made = trigger(
        TriggerTable(event="lab.asked", payload=True, **table), "name", {"algorithm": base}
    )
    assert made.parameters is not None
    template = made.parameters["algorithm"]["value"]["template"]
    event = {"event": SimpleNamespace(payload=payload)}
    return json.loads(render_user_template_sync(template, event))


@pytest.mark.parametrize("name", sorted(installed_algorithms()))
def test_a_payload_is_laid_over_the_defaults_of_every_shipped_algorithm(name: str) -> None:
    kind = find_algorithm(name)
    base = to_plain(kind())
    found = rendered(base, {"tolerance": 0.5})
    assert found == {**base, "tolerance": 0.5}
    assert build(kind, found) == build(kind, {**base, "tolerance": 0.5})


@pytest.mark.parametrize(
    "value",
    [None, True, False, 0, -1.5e-300, 'it\'s "so" {{ x }}\n\u00e4\\', [None, [True]], {"a": {}}],
)
def test_any_plain_parameter_comes_through_as_it_is(value: object) -> None:
    assert rendered({"given": value}, {"more": 1}) == {"given": value, "more": 1}


def test_a_payload_goes_over_what_the_trigger_changes() -> None:
    found = rendered({"shots": None}, {"shots": 7}, algorithm={"shots": 5, "label": None})
    assert found == {"shots": 7, "label": None}
