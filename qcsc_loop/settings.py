"""What the environment says. The one place that reads it."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Environment(BaseSettings):
    """Defaults of this installation, from variables named QCSC_LOOP_…

    Attributes:
        store: the folder that holds all runs.
        lease_seconds: how long a run stays locked after its driver's last sign of life.
    """

    model_config = SettingsConfigDict(env_prefix="QCSC_LOOP_")

    store: Path = Path("~/.qcsc-loop")
    lease_seconds: float = Field(default=30.0, gt=0)
