"""The console script. `qcsc-loop` alone and `--help` are answered before click is imported."""

from __future__ import annotations

import os
import sys

from qcsc_loop.cli.asking import ASKED
from qcsc_loop.cli.streams import end_streams, keep_streams
from qcsc_loop.printing import as_typed, know_store, say, say_json

TYPE_CHECKING = False  # of typing, which takes longer to import than all that help needs
if TYPE_CHECKING:
    from click import ClickException

INTERRUPTED = 130  # as shells report Ctrl-C


def main() -> None:
    """Does what the command line says: errors are one sentence, the exit code tells what happened."""
    keep_streams()
    know_store(sys.argv[1:])
    try:
        if shell := os.environ.get(ASKED):
            from qcsc_loop.cli.completing import main as complete

            complete(shell)
        elif sys.argv[1:] in ([], ["-h"], ["--help"]):
            from qcsc_loop.cli.overview import overview

            say(overview())
            _say_how_to_type()
        else:
            from qcsc_loop.cli.commands import commands

            commands(prog_name="qcsc-loop", standalone_mode=False)
    except (Exception, KeyboardInterrupt) as error:
        sys.exit(_say_error(error))
    except SystemExit as ended:
        if ended.code:
            raise  # else it depends on what could be written
    finally:
        unwritten = end_streams()
    sys.exit(unwritten)


def _say_error(error: BaseException) -> int:
    """Says what went wrong; the exit code for it.

    Raises:
        BaseException: the error itself, if it is none that was meant for a person.
    """
    import click

    from qcsc_loop.errors import QcscLoopError

    match error:
        case click.ClickException():
            _say_usage(error)
            return error.exit_code
        case click.Abort() | KeyboardInterrupt():
            say("qcsc-loop: interrupted before the run began", to_stderr=True)
            return INTERRUPTED
        case QcscLoopError():
            from qcsc_loop.cli.signals import LAST_WORDS_SECONDS, leave_within

            _say(error)
            leave_within(LAST_WORDS_SECONDS, error.exit_code)
            return error.exit_code
        case _:
            raise error


def _say_usage(error: ClickException) -> None:
    from io import StringIO

    words = StringIO()
    error.show(words)
    _say_with_commands(words.getvalue().rstrip())


def _say(error: Exception) -> None:
    sys.stdout.flush()
    _say_with_commands(f"qcsc-loop: {error}")
    if "--json" in sys.argv:
        say_json({"error": as_typed(str(error)), "kind": type(error).__name__})


def _say_with_commands(text: str) -> None:
    say(text, to_stderr=True)
    if "qcsc-loop " in text:
        _say_how_to_type(to_stderr=True)


def _say_how_to_type(*, to_stderr: bool = False) -> None:
    if (sys.stderr if to_stderr else sys.stdout).isatty():  # else nothing is imported for it
        from qcsc_loop.cli.typed import say_how_to_type

        say_how_to_type(to_stderr=to_stderr)


if __name__ == "__main__":
    main()
