"""Work in processes of the driver's own: what comes back, what dies with what."""

from __future__ import annotations

import gc
import operator
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import anyio
import psutil
import pytest

from qcsc_loop.concurrency.loading import load_file
from qcsc_loop.concurrency.worker import in_worker
from qcsc_loop.errors import QcscLoopError, WorkerDied
from waiting import DEADLINE_SECONDS, alive, until, until_async

T = TypeVar("T")
two_cores = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core: one worker")

# worked off by `exec`: a worker finds functions by their module, and knows nothing of this file
HANG = """
import os, pathlib, time
pathlib.Path(begun + ".part").write_text(str(os.getpid()))
os.rename(begun + ".part", begun)
while not os.path.exists(until):
    time.sleep(0.002)
"""


def call(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    async def called() -> T:
        return await in_worker(function, *args, **kwargs)

    return anyio.run(called)


def executed(code: str, **names: object) -> None:
    call(exec, code, names)


async def hang(begun: Path, end: Path) -> None:
    """Writes its process's id and waits for a file."""
    await in_worker(exec, HANG, {"begun": str(begun), "until": str(end)})


@contextmanager
def driver(folder: Path, code: str, *arguments: str, **options: Any) -> Iterator[Any]:
    """A script in a process of its own, without the guard that multiprocessing asks for."""
    script = folder / "driver.py"
    script.write_text(
        "import anyio, os, sys\nfrom qcsc_loop.concurrency.worker import in_worker\n" + code
    )
    process = subprocess.Popen(
        [sys.executable, *options.pop("flags", ()), str(script), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    with process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.kill()


def driven(folder: Path, code: str, *arguments: str, **options: Any) -> tuple[str, str]:
    """What a script prints, and what it says on stderr."""
    with driver(folder, code, *arguments, **options) as process:
        printed, said = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, said
    return printed, said


def pid_in(path: Path) -> int:
    until(path.exists, "the work has begun")
    return int(path.read_text())


# what comes back


def test_a_result_comes_back() -> None:
    assert call(divmod, 17, 5) == (3, 2)


def test_named_arguments_arrive_as_such() -> None:
    assert call(sorted, [3, 1, 2], key=operator.neg, reverse=True) == [1, 2, 3]


def test_none_is_a_result_like_any_other() -> None:
    assert call(print, end="") is None


def test_the_work_is_done_in_another_process() -> None:
    assert call(os.getpid) != os.getpid()


def test_a_large_payload_passes_both_ways() -> None:
    payload = os.urandom(10_000_000)

    assert call(operator.concat, payload, b"!") == payload + b"!"


def test_an_exception_comes_back_with_its_type_and_message() -> None:
    with pytest.raises(ZeroDivisionError, match=r"^division by zero$"):
        call(operator.truediv, 1, 0)


def test_an_exception_comes_back_with_its_data() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        call(os.stat, "/no/such/file")

    assert (caught.value.errno, caught.value.filename) == (2, "/no/such/file")


def test_an_exception_that_cannot_be_pickled_comes_back_as_its_name_and_message() -> None:
    with pytest.raises(RuntimeError, match=r"^Local: why it failed$"):
        executed("class Local(Exception): pass\nraise Local('why it failed')")


@pytest.mark.parametrize(
    "error",
    [
        "InvalidRunId('A B')",  # unpickled it would make a sentence about its own sentence
        "SamplingFailed('aer', 'no memory')",  # it has two arguments, and keeps one
        "DamagedDocument('part', 'torn')",
    ],
)
def test_an_error_whose_class_makes_its_sentence_comes_back_with_that_sentence(error: str) -> None:
    here: QcscLoopError = eval(f"__import__('qcsc_loop.errors').errors.{error}")
    with pytest.raises(Exception) as caught:  # noqa: PT011  # of what type is not promised
        executed(f"from qcsc_loop.errors import *\nraise {error}")

    assert str(caught.value).removeprefix(f"{type(here).__name__}: ") == str(here)


def test_a_result_that_cannot_be_pickled_is_an_error() -> None:
    with pytest.raises(TypeError, match="cannot pickle"):
        call(threading.Lock)


def test_a_function_that_cannot_be_pickled_is_an_error_and_the_next_call_works() -> None:
    with pytest.raises(TypeError, match=r"cannot be called in a worker: .*no lambda"):
        call(lambda: 1)
    with pytest.raises(TypeError, match=r"^len cannot be called in a worker: .*arguments"):
        call(len, threading.Lock())

    assert call(abs, -1) == 1


def test_an_error_of_the_pipe_that_the_work_itself_raised_is_the_works() -> None:
    with pytest.raises(BrokenPipeError, match="of the work"):
        executed("raise BrokenPipeError('of the work')")
    with pytest.raises(EOFError, match="of the work"):
        executed("raise EOFError('of the work')")


# the death of a worker


def test_a_worker_that_is_killed_in_mid_call_is_told_in_a_sentence() -> None:
    with pytest.raises(WorkerDied) as caught:
        call(signal.raise_signal, signal.SIGKILL)

    assert caught.value.exit_code_of_worker == -9
    assert str(caught.value) == (
        "the process that did _signal.raise_signal was ended by signal 9 (the kernel's way when "
        "memory runs out) before it was done"
    )


def test_a_worker_that_crashes_is_told_in_a_sentence() -> None:
    with pytest.raises(WorkerDied, match=r"was ended by signal 11 before it was done$") as caught:
        executed(
            "import resource, signal\n"
            "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
            "signal.raise_signal(signal.SIGSEGV)"
        )
    assert caught.value.exit_code_of_worker == -signal.SIGSEGV


def test_a_worker_that_exits_is_told_in_a_sentence() -> None:
    with pytest.raises(WorkerDied, match=r"did sys\.exit exited 3 before it was done$"):
        call(sys.exit, 3)


def test_after_a_death_the_next_call_has_a_living_worker() -> None:
    with pytest.raises(WorkerDied):
        call(os.kill, call(os.getpid), signal.SIGTERM)

    assert call(abs, -1) == 1


def test_a_worker_that_was_killed_while_idle_is_replaced() -> None:
    idle = call(os.getpid)
    os.kill(idle, signal.SIGKILL)
    until(lambda: not alive(idle), "the idle worker is dead")

    assert call(os.getpid) != idle
    gc.collect()  # its pipes are closed: an open one would be a warning now


TWO_THREADS = f"""
import threading
from pathlib import Path
begun, end = Path(sys.argv[1]), Path(sys.argv[2])
called, go = threading.Event(), threading.Event()
async def pid():
    return await in_worker(os.getpid)
def work():
    print(anyio.run(pid), flush=True)
    called.set()
    go.wait()
thread = threading.Thread(target=work)
thread.start()
called.wait()
async def main():
    async with anyio.create_task_group() as group:
        group.start_soon(in_worker, exec, {HANG!r}, {{"begun": str(begun), "until": str(end)}})
        while not begun.exists():
            await anyio.sleep(0.002)
        go.set()
        while Path(f"/proc/self/task/{{thread.native_id}}").exists():
            await anyio.sleep(0.002)
        end.touch()
    print(await in_worker(os.getpid))
anyio.run(main)
"""


def test_the_end_of_one_threads_event_loop_ends_no_worker_of_anothers(tmp_path: Path) -> None:
    # the kernel ties a process to the thread that started it
    printed, said = driven(tmp_path, TWO_THREADS, str(tmp_path / "begun"), str(tmp_path / "end"))

    one, other = printed.split()
    assert (one != other, said) == (True, "")


# cancellation


async def cancelled(folder: Path) -> int:
    """The process of a call that was cancelled in the middle."""
    async with anyio.create_task_group() as group:
        group.start_soon(hang, folder / "begun", folder / "end")
        await until_async((folder / "begun").exists, "the work has begun")
        group.cancel_scope.cancel()
    return pid_in(folder / "begun")


def test_a_cancelled_calls_process_is_killed(tmp_path: Path) -> None:
    pid = anyio.run(cancelled, tmp_path)

    until(lambda: not psutil.pid_exists(pid), "the process is gone, and no zombie either")


def test_a_cancelled_call_does_not_wait_for_its_work(tmp_path: Path) -> None:
    async def timed_out() -> bool:
        with anyio.move_on_after(0.01) as scope:
            await hang(tmp_path / "begun", tmp_path / "never")
        return scope.cancelled_caught

    assert anyio.run(timed_out)


@two_cores
def test_the_cancellation_of_one_call_leaves_another_alone(tmp_path: Path) -> None:
    killed, survivor = list[int](), list[int]()

    async def two() -> None:
        async def other() -> None:
            await hang(tmp_path / "other", tmp_path / "go")
            survivor.append(pid_in(tmp_path / "other"))

        async with anyio.create_task_group() as group:
            group.start_soon(other)
            await until_async((tmp_path / "other").exists, "the other work has begun")
            killed.append(await cancelled(tmp_path))
            (tmp_path / "go").touch()

    anyio.run(two)
    assert len(killed) == len(survivor) == 1
    assert killed != survivor


def test_after_a_cancellation_the_answers_are_those_of_their_calls(tmp_path: Path) -> None:
    async def calls() -> list[int]:
        await cancelled(tmp_path)
        return [await in_worker(abs, -i) for i in range(5)]

    assert anyio.run(calls) == list(range(5))


# processes


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"])
def test_a_workers_libraries_have_one_thread_each(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "7")

    assert call(os.getenv, name) == "1"


def test_a_process_is_used_again() -> None:
    async def twice() -> list[int]:
        return [await in_worker(os.getpid) for _ in range(2)]

    first, second = anyio.run(twice)
    assert first == second


def test_a_process_is_used_again_after_an_exception() -> None:
    before = call(os.getpid)
    with pytest.raises(ZeroDivisionError):
        call(operator.truediv, 1, 0)

    assert call(os.getpid) == before


def test_a_process_is_used_again_in_the_next_event_loop() -> None:
    assert call(os.getpid) == call(os.getpid)


MANY = f"""
import psutil
from pathlib import Path
folder = Path(sys.argv[1])
cores = len(os.sched_getaffinity(0))
paths = [folder / f"begun-{{i}}" for i in range(cores + 3)]
async def main():
    async with anyio.create_task_group() as group:
        for path in paths:
            names = {{"begun": str(path), "until": str(folder / "go")}}
            group.start_soon(in_worker, exec, {HANG!r}, names)
        while sum(path.exists() for path in paths) < cores:
            await anyio.sleep(0.002)
        # each call has had its turn to start a process by now
        print(len(psutil.Process().children()) - cores)
        (folder / "go").touch()
    print(all(path.exists() for path in paths))
anyio.run(main)
"""


def test_no_more_calls_run_at_a_time_than_there_are_cores(tmp_path: Path) -> None:
    assert driven(tmp_path, MANY, str(tmp_path)) == ("0\nTrue\n", "")


@two_cores
def test_calls_run_side_by_side(tmp_path: Path) -> None:
    async def each_waits_for_the_other() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(hang, tmp_path / "a", tmp_path / "b")
            group.start_soon(hang, tmp_path / "b", tmp_path / "a")

    anyio.run(each_waits_for_the_other)
    assert (tmp_path / "a").read_text() != (tmp_path / "b").read_text()


# the driver


def test_a_script_without_a_guard_is_not_run_again_in_its_workers(tmp_path: Path) -> None:
    code = """
print("run", flush=True)
async def main():
    print(await in_worker(divmod, 7, 2))
anyio.run(main)
"""
    assert driven(tmp_path, code) == ("run\n(3, 1)\n", "")


def test_what_the_work_prints_reaches_stderr_and_is_no_answer(tmp_path: Path) -> None:
    code = """
import subprocess
async def main():
    await in_worker(print, "from Python")
    await in_worker(os.write, 1, b"from C\\n")
    await in_worker(os.system, "echo from a child")
    print(await in_worker(abs, -1))
anyio.run(main)
"""
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    printed, said = driven(tmp_path, code, env=buffered)

    assert printed == "1\n"
    assert said == "from Python\nfrom C\nfrom a child\n"


def test_the_work_finds_its_standard_input_empty() -> None:
    with pytest.raises(EOFError):
        call(input)  # not the next request
    assert call(os.system, "read line") != 0


def test_a_module_that_only_the_driver_has_on_its_path_is_found(tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "only_here.py").write_text("def answer(): return 42\n")
    code = """
sys.path.append(sys.argv[1])
import only_here
async def main():
    print(await in_worker(only_here.answer))
anyio.run(main)
"""
    assert driven(tmp_path, code, str(tmp_path / "away")) == ("42\n", "")


def test_a_module_in_the_current_folder_is_not_imported_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    for name in ("pickle", "signal", "queue"):
        (tmp_path / "here" / f"{name}.py").write_text("raise SystemExit('shadowed')\n")
    code = """
async def main():
    print(await in_worker(abs, -1))
anyio.run(main)
"""
    assert driven(tmp_path, code, cwd=tmp_path / "here") == ("1\n", "")


HANGING = f"""
import signal
signal.signal(signal.SIGINT, lambda *_: os.write(1, b"interrupted\\n"))
async def main():
    print(os.getsid(0) == await in_worker(os.getsid, 0), flush=True)
    await in_worker(exec, {HANG!r}, {{"begun": sys.argv[1], "until": sys.argv[2]}})
    print("done")
anyio.run(main)
"""


def test_a_worker_dies_with_a_driver_that_is_killed(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    with driver(tmp_path, HANGING, str(begun), str(tmp_path / "never")) as process:
        pid = pid_in(begun)
        assert alive(pid)
        process.kill()
        process.wait(DEADLINE_SECONDS)

        until(lambda: not alive(pid), "the worker is gone")


def test_a_ctrl_c_in_the_drivers_terminal_does_not_reach_the_work(tmp_path: Path) -> None:
    begun, end = tmp_path / "begun", tmp_path / "end"
    with driver(tmp_path, HANGING, str(begun), str(end), start_new_session=True) as process:
        pid_in(begun)
        os.killpg(process.pid, signal.SIGINT)
        same_session, interrupted = (process.stdout.readline() for _ in range(2))
        end.touch()
        rest, said = process.communicate(timeout=DEADLINE_SECONDS)

    assert (same_session, interrupted, rest, said) == ("False\n", "interrupted\n", "done\n", "")


def test_an_interrupt_that_a_batch_system_sends_to_all_processes_does_not_end_the_work() -> None:
    assert call(signal.raise_signal, signal.SIGINT) is None


def test_a_driver_leaves_no_worker_and_no_warning_behind(tmp_path: Path) -> None:
    code = """
import asyncio, gc, signal, time
from qcsc_loop.errors import WorkerDied
async def main():
    asyncio.get_running_loop().slow_callback_duration = 600  # a busy machine is no leak
    print(await in_worker(os.getpid))
    with anyio.move_on_after(0.05):
        await in_worker(time.sleep, 600)
    try:
        await in_worker(signal.raise_signal, signal.SIGTERM)
    except WorkerDied as error:
        assert "signal 15" in str(error)
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(in_worker, os.getpid)
    print(await in_worker(os.getpid))
    gc.collect()
anyio.run(main)
"""
    printed, said = driven(tmp_path, code, flags=["-X", "dev", "-W", "error"])

    assert said == ""
    for pid in map(int, printed.split()):
        until(lambda pid=pid: not alive(pid), "the worker is gone")  # type: ignore[misc]


def test_a_forked_process_has_workers_of_its_own(tmp_path: Path) -> None:
    code = """
async def pid():
    return await in_worker(os.getpid)
before = anyio.run(pid)
if not os.fork():
    print(anyio.run(pid) != before, flush=True)
    os._exit(0)
os.wait()
print(anyio.run(pid) == before)
"""
    assert driven(tmp_path, code)[0] == "True\nTrue\n"


def test_a_function_of_a_file_that_was_given_by_its_path_is_found(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def twice(number):\n    return 2 * number\n")
    twice = load_file(file).twice
    assert anyio.run(lambda: in_worker(twice, 21)) == 42
