"""The backends, as Qiskit has them on disk."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

# The files are answered as they are.
from qcsc_loop.plain import Json


@dataclass(frozen=True)
class Device:
    """A backend.

    Attributes:
        name: by which the service knows it.
    """

    name: str
    configuration: Json
    properties: Json


def devices(names: Iterable[str]) -> dict[str, Device]:
    """The backends of these names, each named ibm_... instead of fake_...

    Raises:
        ValueError: Qiskit has no such fake backend.
    """
    found = [_device(name.removeprefix("fake_")) for name in names]
    return {device.name: device for device in found}


def _device(short: str) -> Device:
    folder = _folder() / short
    if not any(folder.glob("props_*.json")):
        known = sorted(file.parent.name for file in _folder().glob("*/props_*.json"))
        raise ValueError(f"fake_{short} is none of fake_{', fake_'.join(known)}")
    name = f"ibm_{short}"
    return Device(name, _named(folder, "conf", name), _named(folder, "props", name))


def _named(folder: Path, kind: str, name: str) -> Json:
    file = min(folder.glob(f"{kind}_*.json"))
    return {**json.loads(file.read_text()), "backend_name": name}


def _folder() -> Path:
    """Found without the import of its package, which takes seconds."""
    spec = find_spec("qiskit_ibm_runtime")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("qiskit_ibm_runtime")
    return Path(spec.origin).parent / "fake_provider" / "backends"
