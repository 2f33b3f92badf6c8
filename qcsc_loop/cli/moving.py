"""`export`, `import` and `fork`: runs that go elsewhere, and runs that begin where one was."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from qcsc_loop.cli.show import open_run
from qcsc_loop.cli.to_stdout import STDOUT, binary_stdout, is_in_file, refuse_json_beside
from qcsc_loop.errors import InputError
from qcsc_loop.moving.archive import export_run, import_run, stream_run
from qcsc_loop.moving.forking import BEST, Fork, fork_run
from qcsc_loop.parameters.build import merge, parse_settings
from qcsc_loop.parameters.environment import environment
from qcsc_loop.printing import say, say_json
from qcsc_loop.reports.view import RunReader, View
from qcsc_loop.store.directory import DirectoryStore


def export_to_file(
    run_id: str,
    *,
    output: Path | None,
    form: Literal["csv", "parquet"] | None,
    work: bool,
    snapshot: bool,
    store: Path | None,
    as_json: bool,
) -> None:
    """Writes a run, or its history as a table, into a file, or to stdout where that is `-`."""
    refuse_json_beside(output, as_json=as_json)
    found = DirectoryStore(store or environment().store)
    journal = open_run(run_id, store)
    if form is not None:
        target = output or Path(f"{run_id}.{form}")
        view = RunReader(found, run_id).look()
        is_csv = form == "csv"
        content = csv_of(view).encode() if is_csv else parquet_of(view)
        if not is_in_file(target, content, binary="" if is_csv else "a Parquet file"):
            return
        facts = {"run_id": run_id, "file": str(target), "iterations": len(view.history)}
        words = f"{target}: {len(view.history)} iterations"
    else:
        target = output or Path(f"{run_id}.tar.gz")
        if target == STDOUT:
            with binary_stdout() as file:
                stream_run(journal, found.root, file, work=work, snapshot=snapshot)
            return
        done = export_run(journal, found.root, target, work=work, snapshot=snapshot)
        facts = {"run_id": run_id, "file": str(target), "files": done.files, "bytes": done.bytes}
        words = (
            f"{target}: {done.files} files, {done.bytes / 1e6:.1f} MB; to go on elsewhere: qcsc-loop "
            f"import {target.name}, then resume {run_id} there. Resume it in one place only"
        )
    if as_json:
        say_json(facts)
    else:
        say(words)


def import_from_file(
    source: Path, *, run_id: str | None, store: Path | None, as_json: bool
) -> None:
    """Puts a run from a file into a store."""
    journal = import_run(DirectoryStore(store or environment().store), source, run_id=run_id)
    if as_json:
        say_json({"run_id": journal.run_id, "store": journal.store.place})
    else:
        say(f"{journal.run_id} is in {journal.store.place}; next: qcsc-loop show {journal.run_id}")


def fork(
    run_id: str,
    *,
    at: str | None,
    new_id: str | None,
    settings: Sequence[str],
    machine: str | None,
    replay: bool,
    algorithm: str | None,
    store: Path | None,
    as_json: bool,
) -> None:
    """Makes a run that begins with another one's state."""
    found = DirectoryStore(store or environment().store)
    changed = parse_settings(settings)
    if machine is not None:
        changed = merge(changed, {"machine": machine})
    journal = open_run(run_id, store)
    asked = Fork(
        at=_iteration(at, RunReader(found, run_id)),
        changed=changed,
        run_id=new_id,
        replay=replay,
        named=algorithm,
    )
    made = fork_run(journal, asked)
    if as_json:
        say_json(
            {
                "run_id": made.run_id,
                "forked_from": run_id,
                "iteration": made.iteration,
                "replayed": list(made.replayed),
            }
        )
        return
    say(f"{made.run_id} begins after iteration {made.iteration} of {run_id}")
    if replay:
        numbers = ", ".join(map(str, made.replayed)) or "none"
        say(f"samples of {run_id} that it takes, without a shot: of iterations {numbers}")
    say(f"  {RunReader(found, made.run_id).look().next_command}")


def _iteration(word: str | None, reader: RunReader) -> int | None:
    """Raises InputError where that is no iteration."""
    if word is None:
        return None
    if word == BEST:
        if (best := reader.look().best) is None:
            raise InputError(
                "no iteration of that run is best: its state's chart does not say which way is better"
            )
        return best.iteration
    if not word.isascii() or not word.isdigit():
        raise InputError(f"--from: {word!r} is neither an iteration's number nor {BEST!r}")
    return int(word)


def parquet_of(view: View) -> bytes:
    """The same table as `csv_of`'s as an Apache Parquet file; null where nothing is known.

    Raises:
        InputError: pyarrow is not installed.
    """
    try:
        import pyarrow  # type: ignore[import-untyped, import-not-found, unused-ignore]
        from pyarrow import parquet
    except ImportError:
        raise InputError("--parquet needs pyarrow: pip install 'qcsc-loop[parquet]'") from None
    columns = _columns(view)
    table: Any = pyarrow.table(
        {name: pyarrow.array(list(values), from_pandas=True) for name, values in columns.items()}
    )
    file = io.BytesIO()
    parquet.write_table(table, file)
    return file.getvalue()


def _columns(view: View) -> dict[str, Any]:
    history = view.history
    return {
        "iteration": history.iterations,
        "driver": history.epochs,
        "committed": history.committed,
        **history.scalars,
        **{f"{name} (s)": values for name, values in history.seconds.items()},
        **history.usage,
    }


def csv_of(view: View) -> str:
    """A run's history: a row an iteration; times in seconds, empty where nothing is known."""
    columns = _columns(view)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in zip(*columns.values(), strict=True):
        writer.writerow("" if math.isnan(value) else repr(value) for value in row)
    return text.getvalue()
