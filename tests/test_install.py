"""`pip install .` as a user does it: into an environment of its own, not editable.

The environment is fresh but for the dependencies, which it borrows from this one: what it finds of
clawgw it can only have from the installation. It is made once for all tests here.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request
import venv
from functools import cache
from pathlib import Path
from typing import NamedTuple

from twisted.trial.unittest import SynchronousTestCase

import clawgw

SOURCE = Path(clawgw.__file__).resolve().parent.parent
INSTALL_SECONDS = 600
COMMAND_SECONDS = 120
TWISTD = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"


def source_files() -> list[str]:
    """What belongs to the source: neither built nor ignored files."""
    command = [
        "git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard",
    ]  # fmt: skip
    listed = subprocess.run(command, cwd=SOURCE, check=True, capture_output=True, text=True)
    return [name for name in listed.stdout.splitlines() if (SOURCE / name).is_file()]


class Installation(NamedTuple):
    """Where it is: a directory for what tests make, the environment, its packages."""

    directory: Path
    environment: Path
    packages: Path


@cache
def installation() -> Installation:
    """Install a copy of the source, so that nothing is built inside the source itself."""
    directory = Path(tempfile.mkdtemp(prefix="install-", dir=".")).absolute()
    tree = directory / "tree"
    for name in source_files():
        copy = tree / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(SOURCE / name, copy)
    environment = directory / "environment"
    venv.create(environment, with_pip=False, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python")]
    done = subprocess.run(
        [*pip, "install", "--quiet", "--no-deps", str(tree)],
        timeout=INSTALL_SECONDS,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = environment / "lib" / version / "site-packages"
    # Only now: pip must not take a clawgw that is already installed there for ours.
    borrowed = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    (packages / "borrowed.pth").write_text("\n".join(sorted(borrowed)))
    return Installation(directory, environment, packages)


class InstallTests(SynchronousTestCase):
    """What the installation has and can do."""

    def setUp(self) -> None:
        self.directory, self.environment, self.packages = installation()

    def run_python(self, *arguments: str) -> str:
        """What a command of the environment prints."""
        done = subprocess.run(
            [str(self.environment / "bin" / "python"), *arguments],
            cwd=self.directory,
            env={"PATH": os.environ.get("PATH", ""), "HOME": str(self.directory)},
            timeout=COMMAND_SECONDS,
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_it_is_the_installed_one(self) -> None:
        found = self.run_python("-c", "import clawgw; print(clawgw.__file__)").strip()
        self.assertEqual(found, str(self.packages / "clawgw" / "__init__.py"))

    def test_every_file_of_the_package_is_there(self) -> None:
        tree = self.directory / "tree"
        files = [path for path in (tree / "clawgw").rglob("*") if path.is_file()]
        names = [str(path.relative_to(tree)) for path in files]
        npm = {str(Path(name).parent) for name in names if name.endswith("/package.json")}
        names = [name for name in names if not npm & set(map(str, Path(name).parents))]
        kinds = {Path(name).suffix for name in names}
        self.assertLessEqual({".py", ".sql", ".typed", ".js", ".css", ".html", ".svg"}, kinds)
        missing = [name for name in names if not (self.packages / name).is_file()]
        self.assertEqual(missing, [])

    def test_twistd_lists_it(self) -> None:
        listed = self.run_python("-c", TWISTD, "--help")
        (line,) = [line for line in listed.splitlines() if line.strip().startswith("clawgw ")]
        self.assertGreater(len(line.split()), 2, "with a word on what it is")
        self.assertIn("--state-dir", self.run_python("-c", TWISTD, "clawgw", "--help"))

    def test_the_command(self) -> None:
        command = self.environment / "bin" / "clawgw"
        self.assertTrue(os.access(command, os.X_OK))
        printed = self.run_python(str(command), "--version")
        self.assertIn(clawgw.__version__, printed)

    def test_it_starts_and_shows_its_page(self) -> None:
        state_dir = self.directory / "state"
        command = [
            str(self.environment / "bin" / "python"), "-c", TWISTD, "-n", "--pidfile=", "clawgw",
            "--state-dir", str(state_dir), "--port", "0",
        ]  # fmt: skip
        env = {"PATH": os.environ.get("PATH", ""), "HOME": str(self.directory)}
        log = self.directory / "log"
        with log.open("wb") as output:
            gateway = subprocess.Popen(
                command, cwd=self.directory, env=env, stdout=output, stderr=output
            )
        try:
            page = self._page(gateway, state_dir / "gateway.lock")
        except BaseException:
            gateway.kill()
            gateway.wait()
            print(log.read_text(errors="replace"))
            raise
        gateway.send_signal(signal.SIGTERM)
        self.assertEqual(gateway.wait(COMMAND_SECONDS), 0)
        index = self.directory / "tree" / "clawgw" / "web" / "index.html"
        self.assertEqual(page, index.read_bytes())

    def _page(self, gateway: subprocess.Popen[bytes], lock: Path) -> bytes:
        """The page, as soon as the Gateway has said where it is."""
        deadline = time.monotonic() + COMMAND_SECONDS
        while time.monotonic() < deadline and gateway.poll() is None:
            try:
                url = json.loads(lock.read_bytes())["url"]
            except (OSError, ValueError):
                time.sleep(0.02)
                continue
            with urllib.request.urlopen(url.replace("ws", "http", 1), timeout=20) as answer:
                content: bytes = answer.read()
                return content
        raise AssertionError("it did not start")
