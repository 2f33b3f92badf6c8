"""What `qcsc-loop` says of itself, at once and whatever is installed beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from qcsc_loop.cli.commands import commands
from qcsc_loop.cli.overview import COMMANDS, FIRST_STEPS
from system.command_line import CommandLine, Result
from system.terminal import on_a_terminal

HEAVY = {"prefect", "pydantic", "numpy", "scipy", "qiskit", "rich", "anyio", "click", "typing"}
ROOMS = {"qcsc_hpc", "qcsc_algorithms"}

IMPORTED = """
import sys
from qcsc_loop.cli.main import main
sys.argv = ["qcsc-loop", "--help"]
main()
print(*sys.modules, file=sys.stderr)
"""

COMMAND = '''
import click

@click.command("greet")
def greet() -> None:
    """Say hello.

    And nothing else.
    """
    click.echo("hello")
'''


class Plugin:
    """An installed distribution `greeter` that offers the command `greet`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.imported = folder, folder / "imported"
        package, facts = folder / "greeter_package", folder / "greeter-1.0.dist-info"
        package.mkdir(parents=True)
        facts.mkdir()
        (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: greeter\nVersion: 1.0\n")
        entry = "[qcsc_loop.commands]\ngreet = greeter_package.cli:greet\n\n[other]\nx = y:z\n"
        (facts / "entry_points.txt").write_text(entry)
        (package / "__init__.py").write_text(f"open({str(self.imported)!r}, 'w').close()\n")
        self.module = package / "cli.py"
        self.module.write_text(COMMAND)

    @property
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self.folder)}


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    return Plugin(tmp_path / "site")


def listed(result: Result) -> dict[str, str]:
    """Each command in the list of all, and what is said of it."""
    _, _, rest = result.well().out.partition("All commands:\n")
    lines = rest.partition("\n\n")[0].splitlines()
    return {line.split()[0]: line.split(maxsplit=1)[1] for line in lines}


def test_alone_it_says_the_five_commands_that_a_newcomer_needs_then_all(
    qcsc_loop: CommandLine,
) -> None:
    alone = qcsc_loop().well().out
    steps = [line.split()[:2] for line in alone.splitlines() if line.startswith("  qcsc-loop ")]
    five = ["run", "resume", "list", "show", "doctor"]
    assert steps == [["qcsc-loop", name] for name in five]
    assert {*COMMANDS, "render", "sites", "sqd-compare"} <= set(listed(qcsc_loop()))
    assert [qcsc_loop(word).well().out for word in ("-h", "--help")] == [alone, alone]


@pytest.mark.parametrize("line", FIRST_STEPS)
def test_an_example_can_be_typed_as_it_stands(line: str) -> None:
    _, name, *words = line.split()
    command = commands.commands[name]
    assert command.make_context(name, words).params


def test_each_command_is_listed_with_the_first_line_of_its_own_help() -> None:
    own = {name: str(command.help).split("\n")[0] for name, command in commands.commands.items()}
    assert own == COMMANDS


def test_it_fits_a_terminal_of_eighty_columns(qcsc_loop: CommandLine) -> None:
    shown = on_a_terminal([str(Path(sys.prefix) / "bin" / "qcsc-loop")], qcsc_loop.environment)
    assert shown.code == 0
    assert max(map(len, shown.screen())) <= 80
    assert not any(line.endswith("...") for line in shown.screen()[1:])


def test_help_imports_nothing_heavy_and_no_package_of_any_plugin(
    qcsc_loop: CommandLine, plugin: Plugin
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED],
        env=qcsc_loop.environment | plugin.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    roots = {name.partition(".")[0] for name in done.stderr.split()}
    assert roots & (HEAVY | ROOMS | {"greeter_package"}) == set()
    assert not plugin.imported.exists()


class TestACommandOfAnotherDistribution:
    def test_it_is_listed_with_the_first_line_of_its_docstring(
        self, qcsc_loop: CommandLine, plugin: Plugin
    ) -> None:
        assert listed(qcsc_loop("--help", env=plugin.environment))["greet"] == "Say hello."
        assert not plugin.imported.exists()

    def test_it_is_called_by_its_name(self, qcsc_loop: CommandLine, plugin: Plugin) -> None:
        assert qcsc_loop("greet", env=plugin.environment).well().out == "hello\n"

    @pytest.mark.parametrize(
        "source", ["def greet(:", "greet = 1", "def greet(): pass", "\0", "# coding: none", ""]
    )
    def test_where_its_source_says_nothing_it_is_listed_as_whose_it_is(
        self, qcsc_loop: CommandLine, plugin: Plugin, source: str
    ) -> None:
        plugin.module.write_text(source)
        result = qcsc_loop("--help", env=plugin.environment)
        assert (listed(result)["greet"], result.err) == ("A command of greeter.", "")

    def test_letters_that_the_terminal_lacks_do_no_harm(
        self, qcsc_loop: CommandLine, plugin: Plugin
    ) -> None:
        plugin.module.write_text(COMMAND.replace("hello", "\u3053\u3093"))
        ascii_ = plugin.environment | {"PYTHONIOENCODING": "ascii"}
        assert listed(qcsc_loop(env=ascii_))["greet"] == r"Say \u3053\u3093."
        assert listed(qcsc_loop(env=plugin.environment))["greet"] == "Say \u3053\u3093."

    def test_without_its_source_it_is_listed_too(
        self, qcsc_loop: CommandLine, plugin: Plugin
    ) -> None:
        plugin.module.unlink()
        assert listed(qcsc_loop(env=plugin.environment))["greet"] == "A command of greeter."

    @pytest.mark.parametrize(
        ("source", "why"),
        [
            ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
            ("raise SystemExit(0)", "SystemExit: 0"),
            ("greet = 1", "greeter_package.cli:greet is no click command"),
        ],
    )
    def test_one_that_does_not_work_says_whose_it_is_and_disturbs_no_other(
        self, qcsc_loop: CommandLine, plugin: Plugin, source: str, why: str
    ) -> None:
        plugin.module.write_text(source)
        result = qcsc_loop("greet", env=plugin.environment)
        assert result.code == 2
        assert result.refusal == (
            "the plug-in 'greet' of distribution greeter failed to load (qcsc_loop.commands): "
            + why
        )
        qcsc_loop("list", env=plugin.environment).well()

    def test_it_does_not_take_the_place_of_one_of_ours(
        self, qcsc_loop: CommandLine, plugin: Plugin
    ) -> None:
        entry = plugin.folder / "greeter-1.0.dist-info" / "entry_points.txt"
        entry.write_text(entry.read_text().replace("greet =", "list ="))
        assert listed(qcsc_loop(env=plugin.environment))["list"] == COMMANDS["list"]
        assert "no runs in" in qcsc_loop("list", env=plugin.environment).well().out


def test_a_command_that_does_not_exist_is_told_as_such(qcsc_loop: CommandLine) -> None:
    result = qcsc_loop("rnu")
    assert result.code == click.UsageError.exit_code
    assert "No such command 'rnu'" in result.err
