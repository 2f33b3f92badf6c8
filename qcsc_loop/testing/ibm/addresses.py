"""What leads the clients to the server, in words that they understand."""

from __future__ import annotations

from qcsc_loop.testing.ibm.iam import API_KEY, INSTANCE
from qcsc_loop.testing.ibm.routes import API
from qcsc_loop.testing.ibm.server import LOOPBACK

URL = "http://qcsc.test"  # a host that is nobody's: RFC 6761, section 6.2


def client_environment(server: str) -> dict[str, str]:
    """For `QiskitRuntimeService()`: the server as a proxy of all plain HTTP but on this machine."""
    around = f"{LOOPBACK},localhost"
    return {
        "HTTP_PROXY": server,
        "NO_PROXY": around,
        # Python's clients prefer the small ones
        "http_proxy": server,
        "no_proxy": around,
        "IAM_URL": server,
        "QISKIT_IBM_URL": URL,
        "QISKIT_IBM_TOKEN": API_KEY,
        "QISKIT_IBM_INSTANCE": INSTANCE,
    }


def qrmi_environment(server: str, backend: str) -> dict[str, str]:
    """For QRMI: a backend as the resource of the same name."""
    settings = {
        "ENDPOINT": f"{server}{API}",
        "IAM_ENDPOINT": server,
        "IAM_APIKEY": API_KEY,
        "SERVICE_CRN": INSTANCE,
    }
    return {
        "QRMI_JOB_QPU_RESOURCES": backend,
        "QRMI_JOB_QPU_TYPES": "ibm-quantum-compute-service",
        **{f"{backend}_QRMI_IBM_QCS_{name}": value for name, value in settings.items()},
    }
