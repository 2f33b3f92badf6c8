"""The options of the commands that drive a run."""

from __future__ import annotations

import math
from collections.abc import Iterator

import click
import pytest
from pydantic import ValidationError

from qcsc_loop.cli.commands import commands
from qcsc_loop.cli.driving import Driving
from qcsc_loop.rules.limits import Limits
from qcsc_loop.rules.retry import Retry

COMMANDS = ["run", "resume"]


def driving(command: str, *words: str) -> Driving:
    found = commands.commands[command].make_context(command, ["it", *words]).params["driving"]
    assert isinstance(found, Driving)
    return found


def every_command(group: click.Group = commands) -> Iterator[click.Command]:
    """Also those of groups in it."""
    for command in group.commands.values():
        yield from every_command(command) if isinstance(command, click.Group) else (command,)


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


@pytest.mark.parametrize("word", ["nan", "inf", "-inf", "1e999"])
def test_no_number_of_any_command_is_other_than_finite(word: str) -> None:
    asked = [
        (command, option)
        for command in every_command()
        for option in command.get_params(click.Context(command))
        if isinstance(option.type, click.FloatRange | click.types.FloatParamType)
    ]
    assert {option.opts[0] for _, option in asked} >= {"--max-hours", "--retry-delay", "--wait"}
    for command, option in asked:
        with pytest.raises(click.BadParameter, match=r"finite number|range"):
            option.type_cast_value(click.Context(command), word)


@pytest.mark.parametrize("name", [*Limits.model_fields])
def test_a_limit_in_a_file_is_finite_as_one_that_is_typed(name: str) -> None:
    for number in (math.nan, math.inf):
        with pytest.raises(ValidationError, match="finite"):
            Limits.model_validate({name: number})


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
