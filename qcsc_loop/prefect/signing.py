"""Telling artifacts that this person's drivers published from those that anybody else did.

An API keeps what it is sent, from whoever may write to it. A hash shows that nothing was changed by
accident; a signature, that whoever wrote it has the person's key, which no API ever gets.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path

from qcsc_loop.concurrency.whole_file import NameTaken, is_there, write_whole
from qcsc_loop.errors import KeyNotPrivate
from qcsc_loop.parameters.environment import environment
from qcsc_loop.plain import Json

KEY_BYTES = 32
NOT_SIGNED = (
    "the run's artifacts are not signed, since there is no place for a key: another disk takes over "
    "from them only if it has nothing of the run. QCSC_LOOP_KEY_FILE names one"
)
_FIELD = "signature"


class Signer:
    """Signs and recognises with one key.

    Args:
        key: None where there is no place for one: then nothing is signed, and nothing is ours.
    """

    def __init__(self, key: bytes | None) -> None:
        self._key = key

    @classmethod
    def of_this_person(cls) -> Signer:
        """With the key of QCSC_LOOP_KEY_FILE, made if need be.

        Raises:
            KeyNotPrivate: somebody else may know the key that is there, or has put it there.
        """
        return cls(_key(key_file()))

    @property
    def fingerprint(self) -> str:
        """Tells two keys apart, and nothing of them; empty where there is none."""
        if self._key is None:
            return ""
        return hashlib.sha256(b"fingerprint\0" + self._key).hexdigest()[:16]

    @property
    def signs(self) -> bool:
        """Whether there is a key."""
        return self._key is not None

    def sign(self, text: str) -> str:
        """A JSON object's text, with its signature in it."""
        if self._key is None:
            return text
        held: Json = json.loads(text)
        signed = {**held, _FIELD: self._signature(self._key, held)}
        return json.dumps(signed, separators=(",", ":"))

    def is_ours(self, text: str) -> bool:
        """Whether the text was signed with this key, and says what it said then."""
        try:
            held = json.loads(text)
        except ValueError:
            return False
        if self._key is None or not isinstance(held, dict):
            return False
        signature = held.pop(_FIELD, None)
        if not isinstance(signature, str) or not signature.isascii():
            return False
        return hmac.compare_digest(signature, self._signature(self._key, held))

    @staticmethod
    def _signature(key: bytes, held: Json) -> str:
        plain = json.dumps(held, sort_keys=True, separators=(",", ":"))
        return hmac.new(key, plain.encode(), hashlib.sha256).hexdigest()


def key_file() -> Path:
    """Where this person's key is, or would be."""
    return environment().key_file.expanduser().absolute()


def one_key_for_both() -> str:
    """What to do about artifacts of one's own that another machine has signed, as a sentence."""
    return (
        "If they are yours, both machines need one key, and this one has its own: copy the file "
        f"~/.config/qcsc-loop/key of the other one (or what its QCSC_LOOP_KEY_FILE names) to "
        f"{key_file()} here, with mode 600"
    )


def _key(path: Path) -> bytes | None:
    try:
        if not is_there(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                with write_whole(path, once=True, mode=0o600) as file:
                    file.write(secrets.token_hex(KEY_BYTES).encode())
            except NameTaken:  # another driver came first
                pass
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read()
    except OSError:  # a home that cannot be written, or is none
        return None
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise KeyNotPrivate(str(path), "others than you may read it or have written it")
    if len(content) < KEY_BYTES:
        raise KeyNotPrivate(str(path), "it is too short for a key")
    return content
