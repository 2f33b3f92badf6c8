"""The console script. `qcsc-loop` alone and `--help` are answered before click is imported."""

from __future__ import annotations

import sys

INTERRUPTED = 130  # as shells report Ctrl-C


def main() -> None:
    """Does what the command line says: errors are one sentence, the exit code tells what happened."""
    if sys.argv[1:] in ([], ["-h"], ["--help"]):
        from qcsc_loop.cli.overview import overview

        # somebody's docstring may have letters that the terminal lacks
        coding = sys.stdout.encoding
        print(overview().encode(coding, "replace").decode(coding))
        return
    import click

    from qcsc_loop.cli.commands import commands
    from qcsc_loop.errors import QcscLoopError

    try:
        commands(prog_name="qcsc-loop", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        print("qcsc-loop: interrupted before the run began", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except QcscLoopError as error:
        _say(error)
        from qcsc_loop.cli.signals import LAST_WORDS_SECONDS, leave_within

        leave_within(LAST_WORDS_SECONDS, error.exit_code)
        sys.exit(error.exit_code)


def _say(error: Exception) -> None:
    sys.stdout.flush()
    print(f"qcsc-loop: {error}", file=sys.stderr)
    if "--json" in sys.argv:
        import json

        print(json.dumps({"error": str(error), "kind": type(error).__name__}))


if __name__ == "__main__":
    main()
