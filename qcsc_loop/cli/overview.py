"""What `qcsc-loop` says of itself; without click, which takes three interpreters' time to import."""

from __future__ import annotations

from qcsc_loop.cli.plugin_commands import find_plugin_commands, read_summary

COLUMNS = 80

FIRST_STEPS = {
    "qcsc-loop run bitcount --run-id first": "an algorithm, as the run `first`",
    "qcsc-loop resume first": "go on, after a crash or a kill -9",
    "qcsc-loop list": "what runs there are",
    "qcsc-loop show first": "how far it is, and what went wrong",
    "qcsc-loop doctor": "does this machine do what is needed?",
}
"""The commands that a newcomer needs, as they are typed."""

COMMANDS = {
    "run": "Run ALGORITHM: a known name, file.py:Class or module:Class.",
    "resume": "Go on with RUN, with its own parameters, seed and stop rules.",
    "describe": "Say what ALGORITHM takes, or a sampler, a machine, a stop rule.",
    "new": "Write an algorithm to begin with, its test and parameters.",
    "check": "Try whether an algorithm has the same bits in every life.",
    "list": "List the runs of a store, those that want you first.",
    "show": "Show RUN: how it stands, why, what it cost, and what is next.",
    "watch": "Watch RUNs go on, from any machine that sees the store.",
    "plot": "Draw the convergence of RUNs, here or into a file.",
    "report": "Write RUN as one HTML file, to look at and to send to somebody.",
    "ui": "Look at all runs in a browser, live.",
    "track": "Hand RUNs on to an experiment tracker, each iteration once.",
    "diff": "Say how two RUNs differ: parameters, results, cost, from where.",
    "sweep": "Run a grid, a list or seeds of settings, each as an ordinary run.",
    "fork": "Make a run that begins with a state of RUN, to go another way.",
    "export": "Write RUN into one file, to be kept or taken elsewhere.",
    "import": "Put a run into the store that `export` has written into FILE.",
    "cancel": "End RUNs in order, wherever they are driven, with their jobs.",
    "gc": "Say what nobody needs any more, and remove it with --yes.",
    "reap": "End every job of RUN that may still be queued or running.",
    "doctor": "Check versions, the Prefect API, MPI and the store's disk.",
    "deploy": "Create or update the deployments that TOML FILEs describe.",
    "serve": "Deploy FILEs and run them here, without a work pool.",
    "supervise": "Bring deployed runs back whose driver is gone.",
    "completion": "Say what a shell is to read, to offer runs and names at Tab.",
    "emit": "Tell the Prefect server of an event, a new file or calibration.",
    "server": "A Prefect server of your own that outlives the runs.",
    "blocks": "Saved blocks: machines, profiles, samplers.",
}
"""The first line of each command's own help, in the order that they are listed."""

OPTIONS = {"--version": "Show the version and exit.", "-h, --help": "Show this message and exit."}


def overview() -> str:
    """The five commands that a newcomer needs, then all, with those of other distributions."""
    others = [command for command in find_plugin_commands() if command.name not in COMMANDS]
    offered = {command.name: read_summary(command) for command in others}
    parts = [
        "Usage: qcsc-loop COMMAND ...",
        "  Iterative quantum-classical algorithms that survive being killed.",
        _table("To begin with:", FIRST_STEPS),
        _table("All commands:", COMMANDS | offered),
        _table("Options:", OPTIONS),
        "qcsc-loop COMMAND --help says what each one takes.",
    ]
    return "\n\n".join(parts)


def _table(title: str, rows: dict[str, str]) -> str:
    width = max(map(len, rows))
    lines = (f"  {name:<{width}}  {text}" for name, text in rows.items())
    return "\n".join([title, *(_cut(line) for line in lines)])


def _cut(line: str) -> str:
    return line if len(line) <= COLUMNS else f"{line[: COLUMNS - 3].rstrip()}..."
