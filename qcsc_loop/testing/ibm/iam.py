"""Who may ask: keys, the bearers issued for them, and the instance."""

from __future__ import annotations

import base64
import json
import time
from itertools import count
from threading import Lock

SECRET = "QCSC-FAKE-IBM-SECRET"
"""Is part of the key and of every bearer: where it appears in clear, something leaked."""

API_KEY = f"{SECRET}-api-key"
INSTANCE = (
    "crn:v1:bluemix:public:quantum-computing:us-east:a/0f1e2d3c4b5a69788796a5b4c3d2e1f0:"
    "5a3e1c00-9d2b-4f6e-8a71-c0ffee15dead::"
)


class IAM:
    """Issues bearers for one key, and knows them again.

    Args:
        token_seconds: how long a bearer is valid.
    """

    def __init__(self, token_seconds: float) -> None:
        self._token_seconds = token_seconds
        self._lock = Lock()
        self._numbers = count()
        self._expiries: dict[str, float] = {}

    def issue(self, api_key: str) -> dict[str, object] | None:
        """The answer to a request for a token; None if the key is not known."""
        if api_key != API_KEY:
            return None
        now = time.time()
        with self._lock:
            bearer = _jwt(now, now + self._token_seconds, next(self._numbers))
            self._expiries[bearer] = now + self._token_seconds
        return {
            "access_token": bearer,
            "refresh_token": "not_supported",
            "token_type": "Bearer",
            "expires_in": int(self._token_seconds),
            "expiration": int(now + self._token_seconds),
            "scope": "ibm openid",
        }

    def knows(self, authorization: str) -> bool:
        """Whether a header carries a bearer that was issued and is not too old."""
        scheme, _, bearer = authorization.partition(" ")
        with self._lock:
            return scheme == "Bearer" and time.time() < self._expiries.get(bearer, 0.0)


def _jwt(issued: float, expires: float, number: int) -> str:
    """A token whose signature is the secret: clients read it, but do not check it."""
    payload = {"iat": int(issued), "exp": int(expires), "jti": str(number), "iam_id": "IBMid-0"}
    return f"{_part({'alg': 'RS256', 'typ': 'JWT'})}.{_part(payload)}.{SECRET}"


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
