"""What holds for every test: where a skip is not allowed, it fails; and the session's real Slurm."""

from __future__ import annotations

import os
import signal
import tempfile
from collections import Counter
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from cluster import packages
from cluster.slurm import SlurmCluster
from long import is_long
from parts import LONGEST

TESTS = Path(__file__).parent
# words in the names of tests that show with a Prefect server what their siblings show without
WITH_A_SERVER = ("in a flow]", "temporary server", "restarted server", "with_blocks")
# bash's, and what Debian's own read in turn
LOGIN_SCRIPTS = (".bash_profile", ".bash_login", ".profile", ".bashrc", ".bash_logout")
NO_SKIPS = bool(os.environ.get("QCSC_LOOP_NO_SKIPS"))  # set by .ci/run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turns a skip into a failure in CI, which can run everything."""
    report = yield
    if NO_SKIPS and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be: {report.longrepr}"
    return report


@pytest.hookimpl(tryfirst=True)  # before what -m names is chosen
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is proved elsewhere, too, and mixes what waits with what computes."""
    proofs: dict[tuple[object, ...], dict[str, list[pytest.Item]]] = {}
    for item in items:
        if proof := _proof(item):
            place, *same = proof
            proofs.setdefault(tuple(same), {}).setdefault(str(place), []).append(item)
    for places in proofs.values():
        for item in _shown_again(places):
            item.add_marker(pytest.mark.thorough)
        if "slurm" in places and why_no_slurm() is None:  # CI has shown it with the real one
            for item in places.get("fake-slurm", []):
                item.add_marker(pytest.mark.nightly)
    for item in items:
        if is_long(item.nodeid) or any(word in item.name for word in WITH_A_SERVER):
            item.add_marker(pytest.mark.thorough)
    _mix(items)


def _proof(item: pytest.Item) -> tuple[object, ...] | None:
    """The machine that a test is about, then what it shows of it; None: it is about none."""
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return None
    parameters = {**item.callspec.params}
    place = str(parameters.pop("place", "")).partition("/")[0]  # a launcher follows
    return (
        (place, item.path, item.originalname, repr(sorted(parameters.items()))) if place else None
    )


def _shown_again(places: dict[str, list[pytest.Item]]) -> list[pytest.Item]:
    """Of a test on several machines, those that need not be in the default run.

    The real Slurm takes the fake one's place, and of all that have a queue one is taken, by the
    test's name: each has its share of the tests.
    """
    stands_in = "fake-slurm" if why_no_slurm() is None else "slurm"
    queues = sorted(set(places) - {"local", stands_in})
    if not queues:
        return []
    name = places[queues[0]][0].name.partition("[")[0]
    taken = queues[crc32(name.encode()) % len(queues)]
    again = (items for place, items in places.items() if place not in ("local", taken))
    return [item for items in again for item in items]


def _mix(items: list[pytest.Item]) -> None:
    """A file of each folder in turn: those that wait for a scheduler run beside those that compute.

    The longest come first: whoever has begun one late ends long after the others.
    """
    turn, files = {TESTS.parent / name: -1 for name in LONGEST}, Counter[str]()
    for item in items:
        if item.path not in turn:
            folder = item.path.relative_to(TESTS).parts[0]
            turn[item.path] = files[folder]
            files[folder] += 1
    items.sort(key=lambda item: turn[item.path])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Deals out long files in parts, where files are dealt out."""
    if config.getoption("dist") != "loadfile":
        return None
    from parts import scheduler

    return scheduler(config, log)


def pytest_configure() -> None:
    """Where SIGINT is ignored, as in a script's background, programs started here would ignore it."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What programs leave behind that are killed, or have no time to clean up, goes in the end."""
    tmp_path_factory.getbasetemp()  # pytest's own stays where it is
    with (
        # PostgreSQL's user may look into it, and sockets' names have 107 characters at most
        tempfile.TemporaryDirectory(prefix="qcsc-tests-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        Path(folder).chmod(0o755)
        patch.setenv("TMPDIR", folder)
        patch.setenv("HOME", str(_without_login_scripts(Path(folder, "home"))))
        # a person's are left alone
        patch.setenv("QCSC_LOOP_KEY_FILE", str(Path(folder, "key")))
        patch.setenv("QCSC_LOOP_SERVER", str(Path(folder, "no-server")))
        patch.setattr(tempfile, "tempdir", None)
        yield


def _without_login_scripts(home: Path) -> Path:
    """The person's home but for what a login shell reads, as every job's script is one.

    Such a script may take a second, or wait for a lock that a killed job has left behind.
    """
    home.mkdir()
    for entry in Path.home().iterdir():
        if entry.name not in LOGIN_SCRIPTS:
            (home / entry.name).symlink_to(entry)
    return home


@cache  # asked for each test of several machines
def why_no_slurm() -> str | None:
    """Why no real Slurm can be started here, if so."""
    if os.geteuid() != 0:
        return "a real Slurm needs root"
    if missing := packages.missing():
        return f"{missing[0]} is missing: sudo python3 tests/cluster/slurm.py install"
    return None


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    """A real Slurm, started once and stopped at the end; skipped, and said so, where it cannot."""
    if why := why_no_slurm():
        pytest.skip(why)
    cluster = SlurmCluster(tmp_path_factory.mktemp("slurm"))
    cluster.start()
    yield cluster
    cluster.stop()
