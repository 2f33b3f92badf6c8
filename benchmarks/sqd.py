"""What the loop adds to an iteration of closed-loop SQD: a run beside a bare script.

The system is water in 6-31G. The bare script does the same science by the same functions, from the
same numbers to the same bits (which is checked): in as many processes, warm ones of
concurrent.futures, and with nothing written, verified or recorded. Run and script take turns, so
that a busy spell of the machine meets both.

Wall time is what counts, and on a machine that others use it is noisy; so is the CPU of all
processes, for it is mostly the science's. Two figures are less so: the CPU of what only the run has,
which is its driver, the server, and what is recorded of circuits; and the time in which no worker
is at work, for what the loop does beside workers costs nothing where cores are free.
"""

from __future__ import annotations

import os
import pickle
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import wraps
from multiprocessing import get_context
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

import anyio
import numpy as np
import psutil

from benchmarks.figures import Figure, Target, at_most, show
from qcsc_algorithms.sqd import SQD, PyscfSolver
from qcsc_algorithms.sqd.chemistry.ansatz import LUCJ
from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.determinants.configurations import (
    Floats,
    Strings,
    as_integers,
    from_rows,
    unique_rows,
)
from qcsc_algorithms.sqd.determinants.recovery import recover
from qcsc_algorithms.sqd.determinants.subspace import subsample
from qcsc_algorithms.sqd.sample_based import Guess
from qcsc_algorithms.sqd.solvers.selected_ci import lowest_state
from qcsc_algorithms.sqd.solvers.solver import by_weight
from qcsc_algorithms.sqd.sqd import Walkers
from qcsc_loop import DirectoryStore, MaxIterations, WallTime
from qcsc_loop.cli.quiet_prefect import quiet_prefect
from qcsc_loop.concurrency import worker
from qcsc_loop.events import Event
from qcsc_loop.loop.events import IterationCommitted
from qcsc_loop.sampling import provenance
from qcsc_loop.sampling.compiling import circuit_facts
from qcsc_loop.sampling.identity import circuit_sha256
from qcsc_loop.sampling.packing import read_registers
from qcsc_loop.steps.step import Step
from qcsc_loop.store.journal import Lease
from qcsc_loop.values.codec import Codec
from qcsc_loop.values.document import Document

MAX_STRINGS, WALKERS, SHOTS, SEED = 300, 4, 20_000, 7
WARM_UP = 3  # iterations until the workers have imported all, and subspaces are full
TURNS = 14
FLOW_BLOCK, FLOW_TURNS = 3, 4  # iterations of a turn inside a flow: the server lags behind
PAUSE, RESTING, LONGEST_PAUSE = 0.5, 0.2, 5  # seconds; share of a core; seconds
LONGEST = 80  # seconds, of either run with its script
LIMIT = 3  # percent
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


# the bare script


def sampled(hamiltonian: Hamiltonian, parameters: Floats, seed: int) -> Strings:
    """Circuit and simulation of a walker."""
    from ffsim.qiskit import FfsimSampler

    circuit = LUCJ().circuit(parameters, hamiltonian)
    result = FfsimSampler(seed=seed).run([circuit], shots=SHOTS).result()
    (rows,) = read_registers(result[0].data)[0].values()
    return rows


class Found(NamedTuple):
    """A walker's energy, and what the next iteration needs of it."""

    energy: float
    occupancies: Floats
    alpha: Strings
    beta: Strings


def diagonalised(
    hamiltonian: Hamiltonian, guess: Guess, rows: Strings, rng: np.random.Generator
) -> Found:
    """Recovery, subsample and diagonalisation of a walker."""
    norb, electrons = hamiltonian.norb, hamiltonian.electrons
    distinct, first, which = unique_rows(rows)
    pool = from_rows(distinct, np.bincount(which, minlength=len(first)), norb)
    if guess.occupancies.size:
        pool = recover(pool, guess.occupancies, electrons, rng)
    else:
        pool = pool.valid(electrons)
    limit = MAX_STRINGS // 2
    space = subsample(pool, electrons, MAX_STRINGS, (guess.alpha, guess.beta), limit, rng)
    solution = lowest_state(
        {
            "one_body": np.array(hamiltonian.one_body),
            "two_body": np.array(hamiltonian.two_body),
            "electrons": np.array(electrons),
            "alpha": as_integers(space.alpha),
            "beta": as_integers(space.beta),
            "tolerance": np.array(1e-10),
            "max_cycles": np.array(100),
            "threads": np.array(1),
            "spin_square": np.array(np.nan),
        }
    )
    return Found(
        float(solution["energy"]) + hamiltonian.constant,
        solution["occupancies"],
        by_weight(space.alpha, solution["alpha_weights"])[0][:limit],
        by_weight(space.beta, solution["beta_weights"])[0][:limit],
    )


def bare(pool: Executor, state: Walkers, iteration: int) -> tuple[Floats, Found]:
    """An iteration after `state`: the next trials, and the best walker."""
    labels = [f"walker-{i}" for i in range(WALKERS)]
    steps = [Step(run_seed=SEED, iteration=iteration, name="sample", label=i) for i in labels]
    waiting = [
        pool.submit(sampled, state.hamiltonian, trial, step.seed)
        for trial, step in zip(state.trials, steps, strict=True)
    ]
    rows = [each.result() for each in waiting]  # a step ends before the next one begins
    steps = [Step(run_seed=SEED, iteration=iteration, name="evaluate", label=i) for i in labels]
    solving = [
        pool.submit(diagonalised, state.hamiltonian, state.guess, shots, step.rng)
        for shots, step in zip(rows, steps, strict=True)
    ]
    found = [each.result() for each in solving]
    energies = np.array([each.energy for each in found])
    rng = Step(run_seed=SEED, iteration=iteration, name="update").rng
    population = state.population.selected(state.trials, energies)
    trials = settings().optimizer.next(state.start, population, rng)
    return trials, found[int(np.argmin(energies))]


@contextmanager
def processes() -> Iterator[Executor]:
    """As many as the loop has workers, with the same threads."""
    os.environ.update(dict.fromkeys(THREADS, "1"))  # numpy is imported: for children alone
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    # a session each, as workers have: Linux shares out cores by session first
    context, session = get_context("spawn"), os.setsid
    with ProcessPoolExecutor(cores, mp_context=context, initializer=session) as pool:
        yield pool


# the run, and turns


def settings() -> SQD:
    """Never converged; by pyscf, so that figures go on from those of earlier versions."""
    solver = PyscfSolver()
    return SQD(max_strings=MAX_STRINGS, walkers=WALKERS, shots=SHOTS, tolerance=0, solver=solver)


class Reading(NamedTuple):
    """Clocks: seconds of wall, of this process and its children, of all processes, and of what the
    script does without: this process and its server."""

    wall: float
    cpu: float
    everybody: float
    extra: float

    @property
    def others(self) -> float:
        """Cores that other processes had."""
        return (self.everybody - self.cpu) / self.wall


class Stopwatch:
    """From when it is made; until it is read."""

    def __init__(self) -> None:
        here = psutil.Process()
        self._processes = [here, *here.children(recursive=True)]
        self._servers = [each for each in self._processes if "uvicorn" in each.cmdline()]
        self._began = self._cpu()
        self.began = time.perf_counter()

    def read(self, iterations: int) -> Reading:
        """What one of so many iterations took."""
        wall, now = time.perf_counter(), self._cpu()
        spent = (end - began for began, end in zip(self._began, now, strict=True))
        return Reading(*(seconds / iterations for seconds in (wall - self.began, *spent)))

    def _cpu(self) -> tuple[float, float, float]:
        times = psutil.cpu_times()
        everybody = times.user + times.nice + times.system
        # psutil counts in hundredths of a second
        extra = time.process_time() + _cpu_of(self._servers)
        return _cpu_of(self._processes), everybody, extra


def _cpu_of(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


class Turns:
    """An observer that, after so many iterations of the run, has the script do the same ones.

    It blocks the loop meanwhile: nothing of the run is done in the script's time.

    Attributes:
        ours, script: what an iteration took, by turn.
        profile: what of it was spent where.
    """

    def __init__(self, pool: Executor, block: int, rest: Callable[[], None]) -> None:
        self._pool, self._block, self._rest = pool, block, rest
        self._codec: Codec[Walkers] = Codec(Walkers)
        self._committed: list[Document] = []
        self._watch, self.clock = Stopwatch(), Clock()
        self.ours: list[Reading] = []
        self.script: list[Reading] = []
        self.profile: list[dict[str, Spent]] = []

    def __call__(self, event: Event) -> None:
        if not isinstance(event, IterationCommitted):
            return
        self._committed.append(event.state)
        iteration = event.commit.iteration
        warm = iteration > WARM_UP
        block = self._block if warm else 1
        if (iteration - WARM_UP) % block:
            return  # the turn goes on
        ours = self._watch.read(block)
        profile = self.clock.spent(self._watch.began, block)
        self._rest()
        script = self._script(range(max(0, iteration - block), iteration))
        if warm:
            self.ours.append(ours)
            self.script.append(script)
            self.profile.append(profile)
        self.clock.reset()
        self._watch = Stopwatch()

    def state(self, iteration: int) -> Walkers:
        """What the run committed; -1: last."""
        return self._codec.decode(self._committed[iteration], in_memory=True)

    def _script(self, befores: range) -> Reading:
        states = [self.state(k) for k in befores]
        watch = Stopwatch()
        results = [bare(self._pool, states[i], k + 1) for i, k in enumerate(befores)]
        took = watch.read(max(1, len(befores)))
        for k, (trials, best) in zip(befores, results, strict=True):
            state = self.state(k + 1)
            same = np.array_equal(trials, state.trials) and best.energy == state.current
            assert same, f"the script's iteration {k + 1} is another one than the run's"
        return took


# where the time goes


class Spent(NamedTuple):
    """What an iteration spends in a function: seconds, unless said otherwise.

    Attributes:
        alone: of the wall time, what passed while no worker was at work.
        cpu: of the calling threads.
        calls: how many.
    """

    wall: float = 0.0
    alone: float = 0.0
    cpu: float = 0.0
    calls: float = 0.0

    def plus(self, other: Spent) -> Spent:
        """The sum."""
        return Spent(*(a + b for a, b in zip(self, other, strict=True)))


class Span(NamedTuple):
    """From when to when, by wall clock."""

    began: float
    ended: float

    def within(self, spans: list[Span]) -> float:
        """Seconds of it that lie in spans, which do not overlap each other."""
        common = (min(self.ended, s.ended) - max(self.began, s.began) for s in spans)
        return sum(max(0.0, seconds) for seconds in common)


class Clock:
    """Times functions where they are called, in whatever thread."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """From zero."""
        self._calls: list[tuple[str, Span, float]] = []

    def spent(self, began: float, iterations: int) -> dict[str, Spent]:
        """An iteration's share of the time since then, by what was called."""
        calls, whole = self._calls, Span(began, time.perf_counter())
        gaps = _gaps(whole, [span for what, span, _ in calls if what == WORK])
        total = {IDLE: _length(gaps), REST: 0.0}
        for gap in gaps:
            total[REST] += _length(_gaps(gap, [span for _, span, _ in calls]))
        found = {what: Spent(wall, wall, 0.0, iterations) for what, wall in total.items()}
        for what, span, cpu in calls:
            one = Spent(span.ended - span.began, span.within(gaps), cpu, 1)
            found[what] = found.get(what, Spent()).plus(one)
        return {what: Spent(*(value / iterations for value in all)) for what, all in found.items()}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watches what is done in the driver."""
        watched = SimpleNamespace(
            HIGHEST_PROTOCOL=pickle.HIGHEST_PROTOCOL,
            dumps=self._timed(pickle.dumps, "pickling to workers"),
            loads=self._timed(pickle.loads, "unpickling from workers"),
        )
        with ExitStack() as stack:
            stack.enter_context(mock.patch("qcsc_loop.concurrency.worker.pickle", watched))
            for owner, name, what in WATCHED:
                timed = self._timed(getattr(owner, name), what)
                stack.enter_context(mock.patch.object(owner, name, timed))
            yield

    def _timed(
        self, function: Callable[..., Any], what: str | Callable[..., str]
    ) -> Callable[..., Any]:
        @wraps(function)
        def act(*args: Any, **kwargs: Any) -> Any:
            began, cpu = time.perf_counter(), time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                ended, used = time.perf_counter(), time.thread_time() - cpu
                name = what if isinstance(what, str) else what(*args)
                self._calls.append((name, Span(began, ended), used))

        return act


def _gaps(whole: Span, spans: list[Span]) -> list[Span]:
    """What is left of a span without others."""
    gaps: list[Span] = []
    until = whole.began
    for span in sorted(spans):
        if span.began > until and until < whole.ended:
            gaps.append(Span(until, min(span.began, whole.ended)))
        until = max(until, span.ended)
    return [*gaps, Span(until, whole.ended)] if until < whole.ended else gaps


def _length(spans: list[Span]) -> float:
    return sum(span.ended - span.began for span in spans)


def _record(_store: DirectoryStore, name: str, _document: Document) -> str:
    if "/checkpoints/" in name:
        return "checkpoint, written"
    return "steps' records, written" if "/steps/" in name else "parts' records, written"


WORK, IDLE, REST = "workers at work", "no worker at work", "nothing of what follows"
WATCHED: tuple[tuple[object, str, str | Callable[..., str]], ...] = (
    (worker._Worker, "call", WORK),
    (DirectoryStore, "write", _record),
    (DirectoryStore, "append", "history, written"),
    (DirectoryStore, "read", "parts' records, looked for"),
    (Codec, "__init__", "codecs made"),
    (Codec, "keep", "encoded and read back"),
    (Codec, "check", "hooks' results checked"),
    (Lease, "check", "lease checked"),
    (provenance, "installed_version", "versions looked up"),
)


def _described(state: Walkers) -> float:
    """Seconds of CPU for the hash and the facts of a walker's circuit, in a worker."""
    circuit = LUCJ().circuit(state.trials[0], state.hamiltonian)
    began = time.process_time()
    circuit_sha256(circuit)
    circuit_facts(circuit)
    return time.process_time() - began


# figures


def without_server(pool: Executor) -> Turns:
    """On a DirectoryStore."""
    turns = Turns(pool, 1, lambda: None)
    stop = MaxIterations(WARM_UP + TURNS) | WallTime(LONGEST)
    with tempfile.TemporaryDirectory() as folder, turns.clock.watching():
        run = settings().run(
            store=DirectoryStore(folder), run_id="sqd", seed=SEED, stop=stop, observers=[turns]
        )
        anyio.run(lambda: run)
    return turns


def in_flow(pool: Executor) -> Turns:
    """The same with hooks as tasks, on a temporary server, whose CPU counts as ours."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["PREFECT_HOME"] = folder
        os.environ.pop("PREFECT_API_URL", None)  # never on a server that others use
        quiet_prefect()  # like the home, before Prefect is imported
        from qcsc_loop.prefect.server import prefect_api

        turns = Turns(pool, FLOW_BLOCK, _until_children_rest)
        with prefect_api(), turns.clock.watching():
            anyio.run(_in_flow, turns, DirectoryStore(f"{folder}/store"))
    return turns


async def _in_flow(turns: Turns, store: DirectoryStore) -> None:
    from prefect import flow

    from qcsc_loop.prefect.flow import run_in_flow

    async def body() -> None:
        stop = MaxIterations(WARM_UP + FLOW_BLOCK * FLOW_TURNS) | WallTime(LONGEST)
        await run_in_flow(
            settings(), store=store, run_id="sqd", seed=SEED, stop=stop, observers=[turns]
        )

    await flow(name="sqd", persist_result=False)(body)()


def _until_children_rest() -> None:
    """Waits for the server to digest what it was sent: the script would pay for it."""
    children = psutil.Process().children(recursive=True)
    used, ends = -1.0, time.monotonic() + LONGEST_PAUSE
    while time.monotonic() < ends:
        now = _cpu_of(children)
        if now - used <= RESTING * PAUSE:
            return
        used = now
        time.sleep(PAUSE)


def beside(turns: Turns, hashed: float) -> list[Figure]:
    """An iteration beside the script's, and what of it is the difference.

    Args:
        hashed: seconds of CPU in workers that the script does without.
    """
    figures: list[Figure] = []
    for clock, unit in (("wall", "s"), ("cpu", "s of CPU")):
        ours = [getattr(each, clock) for each in turns.ours]
        script = [getattr(each, clock) for each in turns.script]
        more = [a - b for a, b in zip(ours, script, strict=True)]
        whole = statistics.median(ours)
        figures += [
            Figure(
                f"iteration ({_range(ours)})",
                whole,
                unit,
                f"script ({_range(script)})",
                statistics.median(script),
            ),
            Figure(
                "what the run took more",
                statistics.median(more),
                unit,
                "iteration",
                whole,
                _share(more, whole),
            ),
        ]
    extra = [each.extra + hashed for each in turns.ours]
    cpu = statistics.median(each.cpu for each in turns.ours)
    figures.append(
        Figure(
            "driver, server, circuits' hashes",
            statistics.median(extra),
            "s of CPU",
            "iteration",
            cpu,
            _share(extra, cpu),
        )
    )
    idle = [profile[IDLE].wall for profile in turns.profile]
    wall = [each.wall for each in turns.ours]
    figures.append(
        Figure(
            IDLE,
            1e3 * statistics.median(idle),
            "ms",
            "iteration",
            1e3 * statistics.median(wall),
            _share(idle, statistics.median(wall)),
        )
    )
    ours, script = ([each.others for each in them] for them in (turns.ours, turns.script))
    figures.append(
        Figure(
            "other processes",
            statistics.median(ours),
            "cores",
            "in the script's time",
            statistics.median(script),
        )
    )
    return figures


def _range(values: list[float]) -> str:
    return f"{min(values):.2f}-{max(values):.2f}"


def _share(seconds: list[float], whole: float) -> Target:
    """Whether they are less than they may be of the whole; with the half of them in the middle."""
    parts = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else 3 * seconds
    low, middle, high = (100 * part / whole for part in parts)
    met = at_most(LIMIT, middle, " %")
    return Target(f"{met.text} ({middle:.1f}; {low:.1f} to {high:.1f})", met.met)


def all_hashed(pool: Executor, turns: Turns) -> float:
    """Seconds of CPU for what is recorded of an iteration's circuits."""
    one = [pool.submit(_described, turns.state(-1)).result() for _ in range(TURNS)]
    return WALKERS * statistics.median(one)


def where(turns: Turns, hashed: float) -> list[Figure]:
    """What is spent where: while no worker is at work, beside all of it."""
    names = dict.fromkeys(name for profile in turns.profile for name in profile)
    figures: list[Figure] = []
    for name in names:
        spent = [profile.get(name, Spent()) for profile in turns.profile]
        wall, alone, cpu, calls = (
            1e3 * statistics.median(each) for each in zip(*spent, strict=True)
        )
        what = f"{name} ({calls / 1e3:g} times, {cpu:.1f} ms of CPU)"
        figures.append(Figure(what, alone, "ms", "all of it", wall))
    figures.sort(key=lambda figure: -figure.value)
    what = f"in workers: circuits hashed, described ({WALKERS} times, {1e3 * hashed:.1f} ms of CPU)"
    return [*figures, Figure(what, 0.0, "ms", "all of it", 1e3 * hashed)]


def main() -> None:
    """Each way to run it: what it takes, and where."""
    size = f"{WALKERS} walkers, {SHOTS:,} shots, {MAX_STRINGS} strings"
    with processes() as pool:
        for how, run in (("DirectoryStore", without_server), ("Prefect, a task a step", in_flow)):
            turns = run(pool)
            hashed = all_hashed(pool, turns)
            show(f"An SQD iteration, {size}; {how}, {len(turns.ours)} turns", beside(turns, hashed))
            show(f"{how}: an iteration's time while no worker is at work", where(turns, hashed))


if __name__ == "__main__":
    main()
