"""Command lines, in the manner of getopt_long(3)."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping


class BadOption(Exception):
    """An option that the command does not have, or one without its value.

    Attributes:
        option: as it was written, without its value.
    """

    def __init__(self, option: str) -> None:
        super().__init__(option)
        self.option = option


class Grammar:
    """A command's options.

    Args:
        valued: names that take a value.
        flags: names that take none.
        either: names that take a value only as `--name=value`.
        short: letters that stand for a name.
        permutes: options may follow what is none.
    """

    def __init__(
        self,
        *,
        valued: Iterable[str] = (),
        flags: Iterable[str] = (),
        either: Iterable[str] = (),
        short: Mapping[str, str] | None = None,
        permutes: bool = False,
    ) -> None:
        self._valued = frozenset(valued)
        self._flags = frozenset(flags) | frozenset(either)
        self._either = frozenset(either)
        self._short = short or {}
        self._permutes = permutes

    def parse(self, arguments: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
        """Options with their values in order, and what is no option.

        Raises:
            BadOption: there is no such option, or its value is missing.
        """
        options: list[tuple[str, str]] = []
        others: list[str] = []
        words = list(arguments)
        while words:
            word = words.pop(0)
            if word == "--":
                return options, others + words
            if word.startswith("--"):
                options.append(self._long(word, words))
            elif word.startswith("-") and word != "-":
                options += self._letters(word, words)
            elif self._permutes:
                others.append(word)
            else:
                return options, [word, *words]
        return options, others

    def _long(self, word: str, words: list[str]) -> tuple[str, str]:
        name, has_value, value = word[2:].partition("=")
        if name in self._valued:
            return name, value if has_value else self._next(words, f"--{name}")
        if name in self._either or (name in self._flags and not has_value):
            return name, value
        raise BadOption(f"--{name}")

    def _letters(self, word: str, words: list[str]) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for position, letter in enumerate(word[1:], start=2):
            name = self._short.get(letter, letter)
            if name in self._valued:
                rest = word[position:]
                found.append((name, rest or self._next(words, f"-{letter}")))
                break
            if name not in self._flags:
                raise BadOption(f"-{letter}")
            found.append((name, ""))
        return found

    @staticmethod
    def _next(words: list[str], option: str) -> str:
        if not words:
            raise BadOption(option)
        return words.pop(0)


def pairs(texts: Iterable[str]) -> dict[str, str]:
    """Of texts NAME=VALUE; a later one of the same name counts."""
    found: dict[str, str] = {}
    for text in texts:
        name, _, value = text.partition("=")
        found[name] = value
    return found


def directives(script: str, prefix: str) -> list[str]:
    """The words of a script's directives, which stand before its first command."""
    words: list[str] = []
    for line in script.splitlines():
        if line.startswith(prefix) and line[len(prefix) : len(prefix) + 1].isspace():
            words += shlex.split(line[len(prefix) :], comments=True)
        elif line.strip() and not line.lstrip().startswith("#"):
            break
    return words
