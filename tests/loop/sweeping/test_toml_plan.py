"""A sweep as its file describes it, and what is wrong in it with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from qcsc_loop.errors import InvalidParameters, QcscLoopError, UnknownAlgorithm
from qcsc_loop.sweeping.toml_lines import line_of
from qcsc_loop.sweeping.toml_plan import read_plan

WALK = f"{Path(__file__).with_name('walks.py')}:Walk"


def described(folder: Path, text: str, name: str = "down.toml") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_a_grid_is_every_combination_with_every_seed(tmp_path: Path) -> None:
    text = f'algorithm = "{WALK}"\nseeds = [0, 7]\n[grid]\nrate = [0.1, 0.2]\nshots = [5]\n'
    plan = read_plan(described(tmp_path, text))
    assert plan.name == "down"
    assert [(m.run_id, m.setting, m.seed) for m in plan.members] == [
        ("down-0-1-5-s0", "rate=0.1, shots=5", 0),
        ("down-0-1-5-s7", "rate=0.1, shots=5", 7),
        ("down-0-2-5-s0", "rate=0.2, shots=5", 0),
        ("down-0-2-5-s7", "rate=0.2, shots=5", 7),
    ]
    assert plan.members[2].parameters["rate"] == 0.2


def test_a_list_has_labels(tmp_path: Path) -> None:
    text = (
        f'algorithm = "{WALK}"\nbaseline = "slow"\n[[members]]\nrate = 0.5\n'
        '[[members]]\nlabel = "slow"\nrate = 0.1\n'
    )
    plan = read_plan(described(tmp_path, text))
    assert plan.settings("walk") == ["rate=0.5", "slow"]
    assert plan.baselines == {"walk": "slow"}


def test_several_groups_share_seeds_and_stop(tmp_path: Path) -> None:
    text = (
        f'seeds = 2\nname = "both"\n[stop]\nmax_iterations = 3\n'
        f'[[group]]\nalgorithm = "{WALK}"\n'
        f'[[group]]\nname = "other"\nseeds = 1\nalgorithm = "{WALK}"\n'
    )
    plan = read_plan(described(tmp_path, text))
    assert [m.run_id for m in plan.members] == ["both-walk-s0", "both-walk-s1", "both-other-s0"]
    assert {m.stop["iterations"] for m in plan.members} == {3}


def test_what_an_iteration_costs_may_be_a_product_of_parameters(tmp_path: Path) -> None:
    text = (
        f'algorithm = "{WALK}"\n[grid]\nshots = [5, 7]\n[budget]\nshots = 100\n'
        'iteration = {shots = "2 * shots"}\n'
    )
    plan = read_plan(described(tmp_path, text))
    assert [m.iteration for m in plan.members] == [{"shots": 10.0}, {"shots": 14.0}]


def test_a_file_of_an_algorithm_is_looked_for_beside_the_sweeps(tmp_path: Path) -> None:
    (tmp_path / "walks.py").write_text(Path(__file__).with_name("walks.py").read_text())
    plan = read_plan(described(tmp_path, 'algorithm = "walks.py:Walk"\n'))
    assert plan.members[0].algorithm == f"{tmp_path / 'walks.py'}:Walk"


def test_long_and_equal_values_still_make_ids_of_their_own(tmp_path: Path) -> None:
    long = ", ".join(f'"{"x" * 60}{k}"' for k in range(2))
    text = f'algorithm = "{WALK}"\n[grid]\nbill = [{long}]\nrate = [0.5, -0.5]\n'
    ids = [member.run_id for member in read_plan(described(tmp_path, text)).members]
    assert len(set(ids)) == 4 and all(len(each) <= 100 for each in ids)


WRONG = {
    "no TOML": ("seeds = ", "this is not TOML"),
    "an unknown key": (
        "sedes = 2",
        "line 2: sedes: there is no key 'sedes' (did you mean 'seeds'?)",
    ),
    "a wrong type": ("at_once = 'many'", "line 2: at_once: input should be a valid integer"),
    "out of range": ("at_once = 0", "line 2: at_once: input should be greater than or equal to 1"),
    "seeds below zero": ("seeds = -3", "line 2: seeds: -3 is below 0. Valid parameters: how many"),
    "no seed": ("seeds = 0", "line 2: seeds: a sweep of no members has nothing to run"),
    "the same seed twice": ("seeds = [1, 1]", "two members are the same: walk, seed 1"),
    "the same value twice": (
        "[grid]\nrate = [0.5, 0.5]",
        "two members are the same: rate=0.5, seed 0",
    ),
    "no value": ("[grid]\nrate = []", "line 3: grid.rate: it has no value to try"),
    "a value out of range": ("[grid]\nshots = ['a']", "line 3: grid.shots: shots: "),
    "an unknown parameter": (
        "[parameters]\n\nraet = 1",
        "line 4: parameters.raet: there is no parameter 'raet' (did you mean 'rate'?)",
    ),
    "both": ("[grid]\nrate = [1]\n[[members]]\nrate = 2", "not from both"),
    "an unbounded budget": (
        "[budget]\nshots = 5",
        "line 2: budget.iteration.shots: a budget of shots is only kept if it is known",
    ),
    "a bound of nothing": (
        "[budget]\nshots = 5\niteration = {shots = '2 * sots'}",
        "line 4: budget.iteration.shots: 'sots' is no number",
    ),
    "an unknown baseline": ("baseline = 'wlak'", "baseline: there is no setting 'wlak'"),
    "an unknown cost": (
        "[halving]\nfirst = 2\ncost = 'time'",
        "line 4: halving.cost: input should be 'iterations', 'shots' or 'qpu_seconds'",
    ),
    "a bad name": ("name = 'Ghz!'", "line 2: name: "),
    "a word of the command line": ("name = 'show'", "line 2: name: 'show' is a word"),
    "a name with a space": ("name = 'a b'", "line 2: name: 'a b' cannot be a sweep's name"),
    "too many": ("seeds = 20000", "line 2: seeds: 20,000 members are more than"),
    "more than fit anywhere": ("seeds = 10000000000", "line 2: seeds: 10,000,000,000 members are"),
    "a grid that fits nowhere": (
        "[grid]\n" + "\n".join(f"p{k} = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]" for k in range(12)),
        "line 2: grid: 1,000,000,000,000 members are more than",
    ),
    "the same value in two ways": (
        "[grid]\nshots = [500, 500.0]",
        "two members are the same: shots=500 and shots=500.0, seed 0",
    ),
    "the same setting under two labels": (
        "[[members]]\nlabel = 'a'\n[[members]]\nlabel = 'b'\nrate = 0.5",
        "two members are the same: a and b, seed 0",
    ),
    "a truth of seeds": (
        "seeds = true",
        "line 2: seeds: true is no number. Valid parameters: how many",
    ),
    "a seed that is true": ("seeds = [true]", "line 2: seeds: True is no whole number"),
    "seeds with a point": ("seeds = 1e3", "line 2: seeds: 1000.0 is no whole number"),
    "members at once with a point": (
        "at_once = 2.0",
        "line 2: at_once: input should be a valid int",
    ),
    "a truth at once": ("at_once = true", "line 2: at_once: true is no number"),
    "a true budget": ("[budget]\nshots = true", "line 3: budget.shots: true is no number"),
    "a true bound": (
        "[budget]\nshots = 5\niteration = {shots = true}",
        "line 4: budget.iteration.shots: true is no number",
    ),
    "a true limit": (
        "[stop]\nmax_iterations = true",
        "line 3: stop.max_iterations: true is no number",
    ),
    "an endless budget": (
        "[budget]\nshots = inf\niteration = {shots = 5}",
        "line 3: budget.shots: input should be a finite number (given: inf). Valid parameters: a ",
    ),
    "an endless bound": (
        "[budget]\nshots = 5\niteration = {shots = inf}",
        "line 4: budget.iteration.shots: input should be a finite number (given: inf)",
    ),
    "an endless rung": (
        "[halving]\nfirst = inf",
        "line 3: halving.first: input should be a finite number (given: inf)",
    ),
    "an unknown key of halving": (
        "halving = {fist = 2}",
        "line 2: halving.fist: there is no key 'fist' (did you mean 'first'?). Valid parameters: "
        "first, factor, cost.",
    ),
    "halving from nowhere": (
        "halving = {factor = 2}",
        "line 2: halving.first: it is missing. Valid parameters: a number above 0.",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_one_sentence_with_its_line(wrong: str, tmp_path: Path) -> None:
    lines, said = WRONG[wrong]
    with pytest.raises(InvalidParameters) as raised:
        read_plan(described(tmp_path, f'algorithm = "{WALK}"\n{lines}\n'))
    assert said in str(raised.value)
    assert str(raised.value).startswith(str(tmp_path / "down.toml"))
    assert "\n" not in str(raised.value)
    assert "none" not in str(raised.value)


def test_a_file_that_cannot_be_read_is_said_so_and_no_more(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameters) as raised:
        read_plan(tmp_path / "nowhere.toml")
    missing = "it cannot be read: No such file or directory."
    assert str(raised.value) == f"{tmp_path / 'nowhere.toml'}: {missing}"


def test_a_name_beside_the_file_is_held_to_the_same(tmp_path: Path) -> None:
    file = described(tmp_path, f'algorithm = "{WALK}"\n')
    with pytest.raises(InvalidParameters, match="name: 'A B' cannot be a sweep's name"):
        read_plan(file, name="A B")


def test_an_algorithm_that_there_is_not_is_said_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(UnknownAlgorithm, match="line 2: algorithm: no installed package offers"):
        read_plan(described(tmp_path, "seeds = 1\nalgorithm = 'bitcont'\n"))
    with pytest.raises(QcscLoopError, match="algorithm: it is missing"):
        read_plan(described(tmp_path, "seeds = 1\n"))


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("name",), 1),
        (("grid", "a.b"), 8),
        (("grid", "wide"), 9),
        (("stop", "max_iterations"), 13),
        (("group", 0, "seeds"), 15),
        (("group", 1, "seeds"), 18),
        (("group", 1, "budget", "shots"), 19),
        (("budget", "iteration", "shots"), 5),
        (("nowhere",), None),
    ],
)
def test_lines_are_found_through_strings_arrays_and_tables(
    path: tuple[str | int, ...], line: int | None
) -> None:
    text = '''name = "a"  # seeds = 1
note = """
grid = 3
"""
budget.iteration.shots = 3
# seeds = 4
[grid]
a.b = [1]
"wide" = [
  "seeds = [",
]
[stop]
max_iterations = 3
[[group]]
seeds = 1
[[group]]
name = "[x]"
seeds = 2
budget = {shots = 3}
'''
    assert line_of(text, path) == line
