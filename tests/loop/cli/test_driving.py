"""The options of the commands that drive a run."""

from __future__ import annotations

import click
import pytest

from qcsc_loop.cli.commands import commands
from qcsc_loop.cli.driving import Driving
from qcsc_loop.rules.limits import Limits
from qcsc_loop.rules.retry import Retry

COMMANDS = ["run", "resume"]


def driving(command: str, *words: str) -> Driving:
    found = commands.commands[command].make_context(command, ["it", *words]).params["driving"]
    assert isinstance(found, Driving)
    return found


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", Limits.model_fields)
def test_every_limit_is_an_option(command: str, name: str) -> None:
    word = f"--{name.replace('_', '-')}"
    assert driving(command, word, "7").limits == Limits.model_validate({name: 7})


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", Limits.model_fields)
def test_a_limit_out_of_its_bounds_is_refused_as_it_is_typed(command: str, name: str) -> None:
    with pytest.raises(click.BadParameter, match="range"):
        driving(command, f"--{name.replace('_', '-')}", "-1")


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_not_typed_is_left_open(command: str) -> None:
    open_ = driving(command)
    assert (open_.limits, open_.retry, open_.keep) == (Limits(), None, None)
    assert (open_.prefect, open_.tasks, open_.store) == (None, None, None)
    assert open_.options() == {}


def test_retries_are_one_record() -> None:
    words = ("--retries", "2", "--retry-on", "TimeoutError", "--retry-on", "OSError")
    assert driving("run", *words).retry == Retry(times=2, on=("TimeoutError", "OSError"))
    assert driving("run", *words, "--retry-delay", "0").retry == Retry(
        times=2, on=("TimeoutError", "OSError"), delay=0
    )


def test_prefect_is_wanted_or_not_or_left_open() -> None:
    assert [driving("run", word).prefect for word in ("--prefect", "--no-prefect")] == [True, False]
