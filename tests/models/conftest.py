"""How hard the models are tried: QCSC_LOOP_MODELS is `quick`, `long` or `search`.

The first two take the same examples in every run, so that a change is to blame for what fails. `search`
takes others each time; what fails is printed with a blob that `@reproduce_failure` takes.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

PROFILES = {"quick": (20, True), "long": (100, True), "search": (2000, False)}

for name, (examples, stable) in PROFILES.items():
    settings.register_profile(
        name,
        max_examples=examples,
        derandomize=stable,
        database=None,  # nothing is left in the tree, and no run depends on another one
        deadline=None,  # the machine may be busy
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
settings.load_profile(os.environ.get("QCSC_LOOP_MODELS", "quick"))
