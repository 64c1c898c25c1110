"""The node's directory, which one node host at a time may use.

Two with the same device key would take the connection from each other for ever. The lock is on an
open file, so the system lets go of it however its holder ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from clawgw.config import ConfigError

__all__ = ["occupied"]

LOCK_NAME = "node.lock"


@contextlib.contextmanager
def occupied(directory: Path) -> Iterator[None]:
    """Have the directory to oneself, and without what a killed predecessor left in it.

    :raises ConfigError: when somebody else has it.
    """
    path = directory / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        raise ConfigError(f"cannot use {path}: {problem.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigError(
            f"a node host already runs with the directory {directory}; stop it first, or give "
            "this one another --node-dir"
        ) from None
    try:
        for profile in directory.glob("browser-*"):
            shutil.rmtree(profile, ignore_errors=True)
        yield
    finally:
        os.close(descriptor)
