"""An account at IBM Quantum, without its key: where that is, and how the service is reached."""

from __future__ import annotations

import os
from typing import Annotated, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from qcsc_loop.errors import CredentialsRefused, SiteUnreachable
from qcsc_loop.parameters.saved_blocks import load_secret

TITLE = "IBM Quantum"
KEY_VARIABLE = "QISKIT_IBM_TOKEN"
IAM = "https://iam.cloud.ibm.com"
CHECK_SECONDS = 10.0

CredentialsName = Annotated[str, StringConstraints(pattern=r"^(ibm-credentials/[a-z0-9-]+)?$")]


class IBMAccount(BaseModel):
    """Where jobs go. Holds no secret.

    Attributes:
        credentials: the name of a saved block, `ibm-credentials/NAME`, that holds the API key;
            empty: the environment variable QISKIT_IBM_TOKEN.
        instance: CRN or name of the service instance; empty: QISKIT_IBM_INSTANCE, or the client's
            own choice.
        url: of the platform, where it is not IBM's public one; empty: QISKIT_IBM_URL.
        proxies: protocol to the proxy's address, as `{"https": "http://proxy:3128"}`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    credentials: CredentialsName = Field(default="", description="empty: $QISKIT_IBM_TOKEN")
    instance: str = Field(default="", description="CRN or name; empty: $QISKIT_IBM_INSTANCE")
    channel: Literal["ibm_quantum_platform", "ibm_cloud"] = "ibm_quantum_platform"
    url: str = ""
    proxies: dict[str, str] = {}

    async def key(self) -> str:
        """The API key, read where it is kept; never store or show it.

        Raises:
            CredentialsRefused: there is none.
            BlockNotFound: no such block.
        """
        if self.credentials:
            return await load_secret(self.credentials)
        key = os.environ.get(KEY_VARIABLE, "")  # the client's own variable, read where it does
        if not key:
            why = f"set {KEY_VARIABLE}, or name a saved block as credentials"
            raise CredentialsRefused(TITLE, f"there is no API key: {why}")
        return key


async def check(account: IBMAccount, key: str) -> None:
    """Asks for a token once: the client would hide a wrong key behind minutes of silence.

    Raises:
        CredentialsRefused: the key is wrong.
        SiteUnreachable: nobody answers.
    """
    url = os.environ.get("IAM_URL", IAM).rstrip("/") + "/identity/token"
    grant = {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": key}
    proxy = account.proxies.get(url.partition(":")[0])
    try:
        async with httpx.AsyncClient(timeout=CHECK_SECONDS, proxy=proxy) as client:
            answer = await client.post(url, data=grant)
    except httpx.HTTPError as error:
        raise SiteUnreachable(TITLE, f"{url}: {type(error).__name__}") from None
    if answer.status_code in (400, 401, 403):
        raise CredentialsRefused(TITLE, "the API key was refused; make a new one, or correct it")
    if answer.status_code != 200:
        raise SiteUnreachable(TITLE, f"{url} answered {answer.status_code}")
