"""Programs from npm that tests run: installed beside their lock file when first needed."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

SECONDS = 600


def install(directory: Path, what: str, *flags: str) -> Path:
    """Install what a directory's `package-lock.json` names, unless it is there already.

    Args:
        what: what to call it, for the person who waits.
        flags: more options of `npm ci`.

    Returns:
        its `node_modules`.

    Raises:
        AssertionError: npm is missing, or failed.
    """
    wanted = hashlib.sha256((directory / "package-lock.json").read_bytes()).hexdigest()
    modules = directory / "node_modules"
    stamp = modules / ".installed"
    with (directory / "package.json").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == wanted:
            return modules
        npm = shutil.which("npm")
        assert npm, f"{what} needs npm (Debian: apt-get install npm)"
        print(f"installing {what} with npm …", flush=True)
        done = subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", *flags],
            cwd=directory, capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"npm ci failed:\n{done.stdout}\n{done.stderr}"
        stamp.write_text(wanted)
    return modules
