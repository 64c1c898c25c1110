"""The tests.

A property is not refuted by a machine that is busy, so Hypothesis measures no time in any of them.
Where CI is set it takes the same examples each time: a change is judged by what it changed. New
examples are looked for wherever else the tests run.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "clawgw",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("clawgw")
