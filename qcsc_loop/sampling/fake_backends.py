"""Fake backends: snapshots of real ones that come with qiskit-ibm-runtime."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from qcsc_loop.errors import InvalidParameters

if TYPE_CHECKING:
    from qiskit_ibm_runtime.fake_provider.fake_backend import FakeBackendV2


def fake_backend(name: str) -> FakeBackendV2:
    """The snapshot of that name, as "fake_manila". Blocks for a second at first.

    Raises:
        InvalidParameters: there is none; names those like it.
    """
    from qiskit_ibm_runtime import fake_provider

    # the provider's own look-up would load all sixty
    classes = [kind for kind in vars(fake_provider).values() if hasattr(kind, "backend_name")]
    known = {kind.backend_name: kind for kind in classes}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3) or sorted(known)[:5]
        raise InvalidParameters("sampler", [f"there is no fake backend {name!r}"], near)
    backend: FakeBackendV2 = known[name]()
    return backend
