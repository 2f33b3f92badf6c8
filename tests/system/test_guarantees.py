"""Each sentence of what is promised has tests that show it, and each of these says which."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / "guarantees.md", ROOT / "docs" / "security.md"]
SENTENCE = re.compile(r"^\*\*([GNS]\d+)\*\* (.+)$", re.MULTILINE)
LINK = re.compile(r"^\[([\w./]+)\]\(\.\./(tests/[\w/]+\.py)\)$", re.MULTILINE)

Shown = dict[str, set[str]]  # node ids by sentence


@cache
def shown_by_pages() -> Shown:
    """The tests that a page names below each sentence; a whole file by its path."""
    found: Shown = {}
    for page in PAGES:
        for part in re.split(r"^(?=\*\*[GNS]\d+\*\* )", page.read_text(), flags=re.MULTILINE)[1:]:
            ((number, _),) = SENTENCE.findall(part)
            assert number not in found, f"{number} is there twice"
            links = LINK.findall(part)
            found[number] = {file if name == file else f"{file}::{name}" for name, file in links}
    return found


@cache
def shown_by_tests() -> Shown:
    """The tests with the marker, by the sentences that they say."""
    found: Shown = defaultdict(set)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text()
        if "mark.guarantee(" in text:
            for node, numbers in marked(ast.parse(text)):
                name = str(path.relative_to(ROOT)) + (f"::{node}" if node else "")
                for number in numbers:
                    found[number].add(name)
    return found


def marked(module: ast.Module) -> Iterator[tuple[str, list[str]]]:
    """What is marked in a module, down to the tests of classes; "": all of it."""
    for node in ast.walk(module):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            yield "", numbers_in(node.value)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for decorator in node.decorator_list:
                if numbers := numbers_in(decorator):
                    yield node.name, numbers


def numbers_in(mark: ast.expr) -> list[str]:
    if not isinstance(mark, ast.Call) or ast.unparse(mark.func) != "pytest.mark.guarantee":
        return []
    return [str(ast.literal_eval(argument)) for argument in mark.args]


@pytest.mark.parametrize("number", shown_by_pages())
def test_a_sentence_has_the_tests_that_say_so(number: str) -> None:
    on_the_page = shown_by_pages()[number]
    if number.startswith("N"):
        assert on_the_page == set(), "what is not promised has no test"
    else:
        assert on_the_page, f"{number} has no test"
        assert on_the_page == shown_by_tests()[number]


def test_no_test_shows_what_no_page_says() -> None:
    assert set(shown_by_tests()) <= set(shown_by_pages())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_sentences_are_numbered_in_a_row(page: Path) -> None:
    by_kind: dict[str, list[int]] = defaultdict(list)
    for number, _ in SENTENCE.findall(page.read_text()):
        by_kind[number[0]].append(int(number[1:]))
    for numbers in by_kind.values():
        assert numbers == list(range(1, len(numbers) + 1))
