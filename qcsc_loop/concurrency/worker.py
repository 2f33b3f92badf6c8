"""Python work in processes of this driver's own: kept between calls, killed with a call or the driver.

For work that crashes, cannot be interrupted, or does not bear threads. Unlike multiprocessing,
and anyio's processes, a worker never imports the driver's main module: a script without an
`if __name__ == "__main__"` would start its run once more in every worker.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, ParamSpec, TypeVar

import anyio
from anyio import to_thread
from anyio.lowlevel import RunVar

from qcsc_loop.concurrency.child import tie_to_this_process
from qcsc_loop.concurrency.loading import load_file, loaded_from
from qcsc_loop.concurrency.per_event_loop import of_this_loop
from qcsc_loop.errors import WorkerDied

P = ParamSpec("P")
T = TypeVar("T")

_LENGTH_BYTES = 8
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


async def in_worker(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a function of an importable module returns, called in another process.

    At most as many calls as this process has cores run at a time, each with one OpenMP and BLAS
    thread, unless it sets another number itself: so many that there are no idle cores, and the
    same bits on every machine. A cancelled call's process is killed.

    Args:
        function: found again by its module and name, not one of a script itself; arguments and
            result are pickled.

    Raises:
        Exception: what the function raised.
        TypeError: the function or an argument cannot be pickled.
        WorkerDied: its process ended before it returned.
    """
    return await call_in_worker(partial(function, *args, **kwargs), threads=1)


async def call_in_worker(work: partial[T], *, threads: int) -> T:
    """The same of a function with its arguments, in a process of so many threads."""
    turns = of_this_loop(_turns).setdefault("workers", anyio.CapacityLimiter(available_cores()))
    async with turns:
        worker = _pool.take(threads)
        try:
            # pipes block; the process and what is imported belong to the event loop's thread:
            # qiskit's allocator crashes once the thread is gone that imported qiskit first
            answer = await to_thread.run_sync(worker.call, _request(work), abandon_on_cancel=True)
            ok, value = _read(answer, work, worker)
        except BaseException:
            worker.kill()
            raise
        _pool.give_back(worker)
    if not ok:
        raise value
    result: T = value
    return result


def call_in_process(work: partial[T]) -> T:
    """The same in a process of this call alone, with as many threads as this one. Blocks its thread.

    It is for threads that no event loop has started, or knows; whatever they wait for, a signal is
    handled and a sign of life given meanwhile.
    """
    request, worker = _request(work), _Worker(0)
    try:
        ok, value = _read(worker.call(request), work, worker)
    finally:
        worker.kill()
    if not ok:
        raise value
    result: T = value
    return result


def _request(work: partial[T]) -> bytes:
    function = work.func
    pickled = _pickled(function, work.args, work.keywords)
    return pickle.dumps((loaded_from(function.__module__), pickled))


def _read(answer: bytes | None, work: partial[T], worker: _Worker) -> tuple[bool, Any]:
    """Whether the work returned, and what; else what it raised."""
    if answer is None:
        raise WorkerDied(f"{work.func.__module__}.{_name(work.func)}", worker.ended())
    ok, value = pickle.loads(answer)
    return ok, value


def _pickled(function: Callable[..., object], args: object, kwargs: object) -> bytes:
    try:
        return pickle.dumps((function, args, kwargs), pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError) as error:  # Pythons differ in which
        raise TypeError(
            f"{_name(function)} cannot be called in a worker: {error}. Give a function that a "
            "module defines, no lambda and none inside another function, and arguments that pickle "
            "can store."
        ) from error


def _name(function: Callable[..., object]) -> str:
    return str(getattr(function, "__qualname__", function))


_turns: RunVar[dict[str, anyio.CapacityLimiter]] = RunVar("qcsc_loop_workers")


def available_cores() -> int:
    """Of this process."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


class _Worker:
    """A process that does what it is told, one call at a time."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        environment = {
            **os.environ,
            **(dict.fromkeys(_THREADS, str(threads)) if threads else {}),
            "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path),
        }
        # -u: what the work prints is seen at once; -P: the path is the driver's, no current folder
        code = "from qcsc_loop.concurrency.worker import serve; serve()"
        command = [sys.executable, "-u", "-P", "-c", code]
        self.thread = threading.current_thread()  # the kernel ends it with the one that started it
        self._process = subprocess.Popen(
            tie_to_this_process(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # a Ctrl-C is the driver's to handle
        )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def call(self, request: bytes) -> bytes | None:
        """The answer; None if it died."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            _send(self._process.stdin, request)
            return _receive(self._process.stdout)
        except (BrokenPipeError, EOFError):
            self._process.wait()
            return None

    def ended(self) -> int:
        """The exit code of one that died."""
        return self._process.wait()

    def kill(self) -> None:
        """Ends it, whatever it is doing."""
        self._process.kill()
        threading.Thread(target=self._process.communicate, daemon=True).start()  # reaps it

    def end(self) -> None:
        """Kills and reaps it: no thread can be started while the interpreter ends.

        Its pipes are not read to their end: what the work has started may hold them open.
        """
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


class _Pool:
    """Idle workers of this process."""

    def __init__(self) -> None:
        self._lock, self._idle = threading.Lock(), list[_Worker]()
        self._pid = 0  # of the process whose workers they are; 0 before there was one

    def take(self, threads: int) -> _Worker:
        here = threading.current_thread()
        with self._lock:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                self._idle.clear()  # of the process that this one was forked from
                atexit.register(self.close)
            for worker in [w for w in self._idle if _serves(w, here, threads)]:
                self._idle.remove(worker)
                if worker.alive:
                    return worker
                worker.kill()  # closes its pipes
        return _Worker(threads)

    def give_back(self, worker: _Worker) -> None:
        with self._lock:
            self._idle.append(worker)

    def close(self) -> None:
        """Ends the idle ones; busy ones end with their driver."""
        with self._lock:
            if os.getpid() == self._pid:
                for worker in self._idle:
                    worker.end()
            self._idle.clear()


def _serves(worker: _Worker, thread: threading.Thread, threads: int) -> bool:
    """Whether an idle worker can be taken; or has died, and has to be taken away."""
    return not worker.alive or (worker.thread is thread and worker.threads == threads)


_pool = _Pool()


def _send(stream: IO[bytes], content: bytes) -> None:
    stream.write(len(content).to_bytes(_LENGTH_BYTES, "big"))
    stream.write(content)
    stream.flush()


def _receive(stream: IO[bytes]) -> bytes:
    """A whole message.

    Raises:
        EOFError: the other end has gone.
    """
    head = stream.read(_LENGTH_BYTES)
    length = int.from_bytes(head, "big")
    content = stream.read(length)
    if len(head) < _LENGTH_BYTES or len(content) < length:
        raise EOFError
    return content


def serve() -> None:
    """Does what it is told on stdin until that closes; the main function of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # the work shall not read requests
    os.dup2(2, 1)  # what the work prints is no answer
    with suppress(EOFError, BrokenPipeError):
        while True:
            _send(answers, _answer(_receive(requests)))


def _answer(request: bytes) -> bytes:
    try:
        file, work = pickle.loads(request)
        if file:  # an algorithm's, given as path/to/file.py:Class
            load_file(Path(file))
        function, args, kwargs = pickle.loads(work)
        return pickle.dumps((True, function(*args, **kwargs)), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        with suppress(Exception):
            answer = pickle.dumps((False, error))
            # some errors pickle and do not come back, or with another message
            if str(pickle.loads(answer)[1]) == str(error):
                return answer
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
