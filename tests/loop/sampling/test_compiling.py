"""Circuits that take long to compile: in a process of their own, and the same."""

from __future__ import annotations

import os
import threading
from functools import partial
from typing import Any

import pytest
from qiskit import QuantumCircuit
from qiskit.circuit.random import random_circuit
from qiskit.providers.fake_provider import GenericBackendV2

from qcsc_loop.concurrency.worker import call_in_process
from qcsc_loop.errors import InvalidParameters, WorkerDied
from qcsc_loop.sampling import compiling
from qcsc_loop.sampling.aer.simulator import aer_backend
from qcsc_loop.sampling.compiling import PlainBackend, compile_circuit, compile_once
from qcsc_loop.sampling.fake_backends import fake_backend
from qcsc_loop.steps.step import current_step


class OfAService(GenericBackendV2):  # type: ignore[misc]  # qiskit is untyped
    """With what a client has, and a stage of its own, as IBM's."""

    def __init__(self) -> None:
        super().__init__(5, seed=2)
        self.client = threading.Lock()  # cannot be sent to another process

    def get_translation_stage_plugin(self) -> str:
        return "ibm_dynamic_circuits"


BACKENDS = {
    "aer": lambda: aer_backend("automatic", 1, "", 5),
    "noisy aer": lambda: aer_backend("automatic", 1, "fake_manila", 5),
    "fake": lambda: fake_backend("fake_manila"),
    "of a service": OfAService,
}
CIRCUIT = random_circuit(5, 12, seed=1, measure=True)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done in processes, where every circuit takes long."""
    done: list[str] = []

    def spied(work: partial[Any]) -> Any:
        done.append(work.func.__name__)
        return call_in_process(work)

    monkeypatch.setattr(compiling, "LARGE_BYTES", 0)
    monkeypatch.setattr(compiling, "call_in_process", spied)
    return done


@pytest.mark.parametrize("level", range(4))
@pytest.mark.parametrize("name", BACKENDS)
def test_a_plain_backend_compiles_as_the_backend_does(name: str, level: int) -> None:
    backend = BACKENDS[name]()
    one = compile_circuit(CIRCUIT, backend, 7, level, "")
    other = compile_circuit(CIRCUIT, PlainBackend.of(backend), 7, level, "")
    assert (one, one.layout) == (other, other.layout)


@pytest.mark.parametrize(
    "name", ["of a service", *(pytest.param(n, marks=pytest.mark.thorough) for n in BACKENDS)]
)
def test_a_large_circuit_is_compiled_in_a_process_of_its_own_to_the_same(
    name: str, large: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[QuantumCircuit] = []
    backend = BACKENDS[name]()

    def compile_it() -> None:
        found.append(compile_once(CIRCUIT, backend, current_step(), 3))

    elsewhere = threading.Thread(target=compile_it)  # as a client's, which no event loop knows
    elsewhere.start()
    elsewhere.join()
    assert large == ["compile_circuit"]
    monkeypatch.setattr(compiling, "LARGE_BYTES", 1 << 30)
    compile_it()
    assert large == ["compile_circuit"]
    assert (found[0], found[0].layout) == (found[1], found[1].layout)


def test_a_pass_manager_of_the_users_is_found_in_this_process(large: list[str]) -> None:
    with pytest.raises(InvalidParameters, match="no_such_module"):
        compile_once(CIRCUIT, OfAService(), current_step(), 1, "no_such_module:make")
    assert large == []


def test_what_a_process_raises_is_raised_and_its_death_is_told() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        call_in_process(partial(int, "no number"))
    with pytest.raises(WorkerDied, match="_exit"):
        call_in_process(partial(os._exit, 3))
