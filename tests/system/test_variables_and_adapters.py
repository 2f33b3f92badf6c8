"""What runs take from a Prefect server: parameters from variables, samples through another's block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from prefect.variables import Variable
from prefect_qiskit.runtime import QuantumRuntime
from prefect_qiskit.vendors import QiskitAerCredentials

from qcsc_algorithms.bitcount.bitcount import ghz
from qcsc_loop.errors import BlockNotFound
from qcsc_loop.prefect.qiskit_runtime import PrefectQiskitSampler
from system.command_line import CommandLine

WORDS = ("run", "bitcount", "--set", "num_qubits=3", "--max-iterations", "1")

pytestmark = [
    pytest.mark.server,
    # Prefect asks for its default storage with a client that it does not close
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def variable(name: str, value: Any) -> str:
    """A variable of that name, which has only letters, digits and underscores."""
    plain = name.replace("-", "_")
    anyio.run(lambda: Variable.aset(plain, value, overwrite=True))
    return plain


class TestVariables:
    def test_a_parameter_is_read_when_the_run_starts_and_kept_in_its_provenance(
        self, with_server: CommandLine, run_id: str, in_process: Callable[[], Any]
    ) -> None:
        with in_process():
            name = variable(run_id, 200)
        with_server(*WORDS, "--variable", f"shots={name}", "--run-id", run_id).well()
        record = with_server.journal(run_id).record()
        assert record.settings.parameters["shots"] == 200
        assert record.provenance["variables"] == {"shots": {"variable": name, "value": 200}}

    def test_a_nested_parameter_is_read_too(
        self, with_server: CommandLine, run_id: str, in_process: Callable[[], Any]
    ) -> None:
        with in_process():
            name = variable(run_id, "stabilizer")
        words = ("--set", "shots=100", "--variable", f"sampler.method={name}", "--run-id", run_id)
        with_server(*WORDS, *words).well()
        sampler = with_server.journal(run_id).record().settings.parameters["sampler"]
        assert sampler["method"] == "stabilizer"

    def test_what_is_set_on_the_command_line_goes_over_it(
        self, with_server: CommandLine, run_id: str, in_process: Callable[[], Any]
    ) -> None:
        with in_process():
            name = variable(run_id, 200)
        words = ("--set", "shots=100", "--variable", f"shots={name}", "--run-id", run_id)
        with_server(*WORDS, *words).well()
        record = with_server.journal(run_id).record()
        assert record.settings.parameters["shots"] == 100
        assert "variables" not in record.provenance

    def test_a_variable_that_is_not_there_is_named(
        self, with_server: CommandLine, run_id: str
    ) -> None:
        words = ("--variable", "shots=nobody_set_this", "--run-id", run_id)
        assert "no Prefect variable 'nobody_set_this'" in with_server(*WORDS, *words).refusal

    def test_a_value_that_does_not_fit_is_refused(
        self, with_server: CommandLine, run_id: str, in_process: Callable[[], Any]
    ) -> None:
        with in_process():
            name = variable(run_id, "many")
        words = ("--variable", f"shots={name}", "--run-id", run_id)
        assert "shots:" in with_server(*WORDS, *words).refusal


class TestPrefectQiskit:
    @pytest.mark.filterwarnings(
        "ignore:Qiskit backend .* has no QubitProperties:UserWarning",
        # its task is run outside a flow here
        "ignore:Logger 'prefect.task_runs' attempted to send logs:UserWarning",
    )
    def test_a_circuit_is_run_through_a_saved_runtime(
        self, run_id: str, in_process: Callable[[], Any]
    ) -> None:
        async def main() -> Any:
            runtime = QuantumRuntime(
                resource_name="aer_simulator", credentials=QiskitAerCredentials(noise=False)
            )
            await runtime.asave(run_id, overwrite=True)
            return await PrefectQiskitSampler(block=run_id).sample(ghz(3), shots=100)

        with in_process():
            samples = anyio.run(main)
        assert samples.shots == len(samples.bits["meas"]) == 100
        assert {0, 7} <= set(samples.bits["meas"].ravel().tolist())
        assert samples.provenance["backend"] == "aer_simulator"

    def test_a_runtime_that_is_not_there_is_named(self, in_process: Callable[[], Any]) -> None:
        sampler = PrefectQiskitSampler(block="quantum-runtime/nowhere")
        with in_process(), pytest.raises(BlockNotFound, match="quantum-runtime/nowhere"):
            anyio.run(lambda: sampler.sample(ghz(3), shots=100))
