"""Compiled libraries outlive the threads that use them first."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from other_process import printed_by

# two event loops, one after the other: the worker threads of the first have ended by the second
TWICE = """
import anyio
from qcsc_algorithms.{package} import {name}
from qcsc_loop import MaxIterations, MemoryStore

def once():
    run = {name}({settings}).run
    return anyio.run(lambda: run(store=MemoryStore(), stop=MaxIterations(1)))

first, second = once(), once()
assert first.state_sha256 == second.state_sha256
print("twice")
"""
HYDROGEN = "system={'geometry': 'H 0 0 0; H 0 0 0.735', 'basis': 'sto-3g'}, shots=100"
NEEDS_SQD = pytest.mark.skipif(find_spec("pyscf") is None, reason="the extra sqd is not installed")
SHIPPED = [
    ("bitcount", "BitCount", "num_qubits=3, shots=100"),
    ("vqe", "VQE", ""),
    pytest.param("sqd", "SQD", HYDROGEN, marks=NEEDS_SQD),
    pytest.param("sqd", "SKQD", HYDROGEN, marks=NEEDS_SQD),
]


@pytest.mark.parametrize(("package", "name", "settings"), SHIPPED)
def test_every_shipped_algorithm_runs_twice_in_one_process(
    package: str, name: str, settings: str
) -> None:
    code = TWICE.format(package=package, name=name, settings=settings)
    assert printed_by(code) == "twice"


THREADED = """
import threading
from pathlib import Path
import anyio
from anyio import to_thread
from qcsc_loop import IterativeAlgorithm, MaxIterations, MemoryStore, State

class Nothing(State):
    pass

class Builds(IterativeAlgorithm[Nothing, int, int]):
    async def initialize(self):
        return Nothing()
    async def sample(self, state):
        return await to_thread.run_sync(self.width)
    async def evaluate(self, state, samples):
        return samples
    async def update(self, state, evaluation):
        return state
    def width(self):
        import sys
        here = "qiskit" in sys.modules
        from qiskit import QuantumCircuit
        assert here, "a worker thread is the first to import it"
        return QuantumCircuit(2).num_qubits

def go():
    anyio.run(lambda: Builds().run(store=MemoryStore(), stop=MaxIterations(1)))
    print("done")

if __name__ == "__main__":
    {start}
"""


@pytest.mark.parametrize(
    "start", ["go()", "thread = threading.Thread(target=go); thread.start(); thread.join()"]
)
def test_what_a_hook_imports_in_a_thread_is_there_before_the_first_hook(
    tmp_path: object, start: str
) -> None:
    run = f"import runpy; runpy.run_path({str(tmp_path)!r} + '/own.py', run_name='__main__')"
    with open(f"{tmp_path}/own.py", "w") as file:
        file.write(THREADED.replace("{start}", start))
    assert printed_by(run) == "done"


IN_A_THREAD = """
import sys, threading
from qcsc_loop.concurrency.lasting_import import import_lastingly
def work():
    import_lastingly("qiskit")
thread = threading.Thread(target=work)
thread.start()
thread.join()
from qiskit import QuantumCircuit
def build():
    circuit = QuantumCircuit(8)
    for _ in range(1000):
        circuit.h(0)
    circuits.append(circuit.copy())
circuits = []
for _ in range(20):
    thread = threading.Thread(target=build)
    thread.start()
    thread.join()
print(len(circuits))
"""


def test_the_thread_that_imports_first_need_not_last() -> None:
    assert printed_by(IN_A_THREAD) == "20"


def test_a_module_that_is_not_there_is_said_so_from_any_thread() -> None:
    code = """
import threading
from qcsc_loop.concurrency.lasting_import import import_lastingly
def work():
    try:
        import_lastingly("no_such_module_of_ours")
    except ModuleNotFoundError as error:
        print(error.name)
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
    assert printed_by(code) == "no_such_module_of_ours"
