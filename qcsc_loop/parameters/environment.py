"""What the environment says. The one place that reads it."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from qcsc_loop.errors import InvalidParameters


class Environment(BaseSettings):
    """Defaults of this installation, from variables named QCSC_LOOP_…

    Attributes:
        store: the folder that holds all runs.
        lease_seconds: how long a run stays locked after its driver's last sign of life.
        shared_store: the store is a group's: others may write to it, and no code is taken from what
            others wrote.
        key_file: what a run's artifacts are signed with, one for all machines of a person.
        server: the folder of this person's own Prefect server.
        check_hooks: whether it is looked at after each hook that it changed nothing it was given.
        tensorboard: the folder of what `track --to tensorboard` writes; empty: one in the store.
    """

    model_config = SettingsConfigDict(env_prefix="QCSC_LOOP_")

    store: Path = Path("~/.qcsc-loop")
    lease_seconds: float = Field(default=30.0, gt=0)
    shared_store: bool = False
    key_file: Path = Path("~/.config/qcsc-loop/key")
    server: Path = Path("~/.local/share/qcsc-loop/server")
    check_hooks: bool = True
    tensorboard: str = ""


class MlflowEnvironment(BaseSettings):
    """What MLflow's own clients read, from its variables named MLFLOW_…"""

    model_config = SettingsConfigDict(env_prefix="MLFLOW_")

    tracking_uri: str = ""
    tracking_username: str = ""
    tracking_password: str = Field(default="", repr=False)
    experiment_name: str = ""


def cache_folder() -> Path:
    """Where this person's caches are: https://specifications.freedesktop.org/basedir-spec."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def environment() -> Environment:
    """The environment's settings as they are now.

    Raises:
        InvalidParameters: a variable holds what it cannot.
    """
    try:
        return Environment()
    except ValidationError as error:
        wrong = [
            f"QCSC_LOOP_{'_'.join(map(str, problem['loc'])).upper()}: {problem['msg'].lower()} "
            f"(given: {problem['input']!r})"
            for problem in error.errors()
        ]
        valid = [f"QCSC_LOOP_{name.upper()}" for name in Environment.model_fields]
        raise InvalidParameters("environment", wrong, valid) from error
