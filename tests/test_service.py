"""What is started with which options, and what is said when it cannot be.

The second half runs the real `twistd clawgw`: each refusal is one sentence on the terminal that
says what to change, without a traceback.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from clawgw.config import ConfigError
from clawgw.lock import read_lock
from clawgw.plan import Plan, make_plan
from tests.support.gateway import START_SECONDS, GatewayProcess
from tests.support.ports import free_port

SECRET = "correct-horse-battery"


class PlanTestCase(SynchronousTestCase):
    """A state directory with a configuration."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()

    def plan(
        self,
        config: dict[str, Any] | None = None,
        environ: dict[str, str] | None = None,
        **options: str,
    ) -> Plan:
        if config is not None:
            (self.directory / "config.json").write_text(json.dumps({"gateway": config}))
        named = {name.replace("_", "-"): value for name, value in options.items()}
        return make_plan({"state-dir": str(self.directory), **named}, environ or {})

    def refused(self, *says: str, **more: Any) -> str:
        problem = str(self.assertRaises(ConfigError, self.plan, **more))
        for words in says:
            self.assertIn(words, problem)
        self.assertNotIn(SECRET, problem)
        self.assertNotIn("\n", problem)
        return problem


class Secrets(PlanTestCase):
    """Where the shared secret comes from."""

    def test_tokens_in_their_order(self) -> None:
        given = [
            ("option", {"token": "option"}, {}, {}),
            ("first", {}, {"CLAWGW_GATEWAY_TOKEN": "first"}, {}),
            ("second", {}, {"OPENCLAW_GATEWAY_TOKEN": "second"}, {}),
            ("third", {}, {"CLAWDBOT_GATEWAY_TOKEN": "third"}, {}),
            ("file", {}, {}, {"auth": {"token": "file"}}),
        ]
        sources = ["the command line"] + ["the environment"] * 3 + ["the configuration"]
        for number, (expected, *_) in enumerate(given):
            options, environ, config = ({}, {}, {})  # type: ignore[var-annotated]
            for _, option, variable, setting in given[number:]:
                options |= option
                environ |= variable
                config |= setting
            plan = self.plan(config, environ, **options)
            self.assertEqual((plan.secrets.mode, plan.secrets.token), ("token", expected))
            self.assertEqual(plan.secret_source, sources[number])

    def test_passwords_in_their_order(self) -> None:
        given = [
            ("option", {"password": "option"}, {}, {}),
            ("first", {}, {"CLAWGW_GATEWAY_PASSWORD": "first"}, {}),
            ("second", {}, {"OPENCLAW_GATEWAY_PASSWORD": "second"}, {}),
            ("file", {}, {}, {"auth": {"password": "file"}}),
        ]
        for number, (expected, *_) in enumerate(given):
            options, environ, config = ({}, {}, {})  # type: ignore[var-annotated]
            for _, option, variable, setting in given[number:]:
                options |= option
                environ |= variable
                config |= setting
            plan = self.plan(config, environ, **options)
            self.assertEqual((plan.secrets.mode, plan.secrets.password), ("password", expected))

    def test_empty_ones_are_none(self) -> None:
        self.assertEqual(self.plan({}, {"CLAWGW_GATEWAY_TOKEN": ""}).secrets.mode, "none")
        self.assertEqual(self.plan({}, {}, token="").secrets.mode, "none")

    def test_modes(self) -> None:
        both = {"CLAWGW_GATEWAY_TOKEN": "t", "CLAWGW_GATEWAY_PASSWORD": "p"}
        table: list[tuple[dict[str, Any], dict[str, str], dict[str, str], str]] = [
            ({}, {}, {}, "none"),
            ({}, both, {}, "token"),
            ({"auth": {"mode": "password"}}, both, {}, "password"),
            ({"auth": {"mode": "none"}}, both, {}, "none"),
            ({"auth": {"mode": "none"}}, {}, {"token": "t"}, "token"),
            ({"auth": {"mode": "token"}}, both, {"password": "p"}, "password"),
            ({"auth": {"mode": "password"}}, {}, {"token": "t", "password": "p"}, "token"),
        ]
        for config, environ, options, mode in table:
            with self.subTest(config=config, options=options):
                self.assertEqual(self.plan(config, environ, **options).secrets.mode, mode)

    def test_a_mode_without_its_secret(self) -> None:
        self.refused("CLAWGW_GATEWAY_TOKEN", config={"auth": {"mode": "token", "password": "p"}})
        self.refused("CLAWGW_GATEWAY_PASSWORD", config={"auth": {"mode": "password", "token": "t"}})

    def test_they_are_in_no_repr(self) -> None:
        environ = {"CLAWGW_GATEWAY_TOKEN": SECRET, "ANTHROPIC_API_KEY": SECRET}
        plan = self.plan({"auth": {"password": SECRET}}, environ, token=SECRET)
        self.assertEqual(plan.secrets.token, SECRET)
        self.assertNotIn(SECRET, repr(plan))
        self.assertNotIn(SECRET, f"{plan.secrets}")


class Places(PlanTestCase):
    """Directories, files, ports and addresses."""

    def test_the_defaults(self) -> None:
        plan = self.plan()
        self.assertEqual((plan.port, plan.addresses), (18789, ("127.0.0.1", "::1")))
        self.assertEqual(plan.config_path, self.directory / "config.json")
        self.assertFalse(plan.exposed)

    def test_options_win_over_the_file(self) -> None:
        plan = self.plan({"port": 1, "bind": "127.0.0.2"}, port="2", bind="::1")
        self.assertEqual((plan.port, plan.addresses), (2, ("::1",)))
        plan = self.plan({"port": 1, "bind": "127.0.0.2"})
        self.assertEqual((plan.port, plan.addresses), (1, ("127.0.0.2",)))
        self.assertEqual(self.plan(port="0").port, 0)

    def test_the_state_directory(self) -> None:
        plan = make_plan({}, {"CLAWGW_STATE_DIR": str(self.directory)})
        self.assertEqual(plan.state_dir, self.directory)
        plan = make_plan({"state-dir": "here"}, {"CLAWGW_STATE_DIR": "/not/here"})
        self.assertEqual(plan.state_dir, Path.cwd() / "here")

    def test_another_configuration_file(self) -> None:
        other = self.directory / "other.json"
        with self.assertRaises(ConfigError) as caught:
            make_plan({"state-dir": str(self.directory), "config": str(other)}, {})
        self.assertIn(f"there is no configuration file {other}", str(caught.exception))
        other.write_text('{"gateway": {"port": 5}}')
        plan = make_plan({"state-dir": str(self.directory), "config": str(other)}, {})
        self.assertEqual((plan.port, plan.config_path), (5, other))

    def test_no_port(self) -> None:
        for port in ("x", "-1", "65536", "", "1.5", " 1", "1e3"):
            self.refused("--port: expected a number from 0 to 65535", port=port)

    def test_no_address(self) -> None:
        for bind in ("localhost", "example.org", "127.0.0.1:80", "1.2.3", "[::1]", "any"):
            self.refused("--bind: expected loopback, lan, or an IP address", bind=bind)
            self.refused("gateway.bind: expected", config={"bind": bind})


class Exposure(PlanTestCase):
    """Beyond loopback nobody listens without authentication."""

    OPEN = ("lan", "0.0.0.0", "::", "192.168.1.2", "2001:db8::1")
    PIN = "ab" * 32

    def test_refused(self) -> None:
        says = "refusing to listen beyond loopback without authentication"
        weak: list[dict[str, Any]] = [
            {},
            {"auth": {"mode": "none"}},
            {"auth": {"mode": "none", "token": "t", "password": "p"}},
            {"tls": {"enabled": True}},
            {"tls": {"enabled": True, "clientAuth": "pinned"}},
            {"tls": {"enabled": True, "clientFingerprints": [self.PIN]}},
            {"tls": {"enabled": False, "clientAuth": "pinned", "clientFingerprints": [self.PIN]}},
        ]
        for bind in self.OPEN:
            for config in weak:
                problem = self.refused(says, config=config | {"bind": bind})
                self.assertIn("CLAWGW_GATEWAY_TOKEN", problem)
                self.refused(says, config=config, bind=bind)

    def test_allowed(self) -> None:
        pinned = {"enabled": True, "clientAuth": "pinned", "clientFingerprints": [self.PIN]}
        strong: list[dict[str, Any]] = [
            {"auth": {"token": "t"}}, {"auth": {"password": "p"}}, {"tls": pinned},
        ]  # fmt: skip
        for bind in self.OPEN:
            for config in strong:
                self.assertTrue(self.plan(config | {"bind": bind}).exposed)
        for bind in ("loopback", "127.0.0.1", "127.9.9.9", "::1"):
            self.assertFalse(self.plan({"bind": bind}).exposed)


class StartTestCase(SynchronousTestCase):
    """The real program."""

    timeout = 60

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()

    def gateway(self, name: str = "state", **more: Any) -> GatewayProcess:
        gateway = GatewayProcess(self.directory / name, **more)
        self.addCleanup(gateway.kill)
        return gateway

    def refused(self, gateway: GatewayProcess, *says: str) -> str:
        """That it does not start, and what it says: one line on the terminal."""
        gateway.spawn()
        assert gateway.process is not None
        self.assertEqual(gateway.process.wait(START_SECONDS), 1, gateway.log)
        lines = gateway.log.splitlines()
        self.assertEqual(len(lines), 1, gateway.log)
        self.assertTrue(lines[0].startswith("clawgw: "), lines)
        for words in says:
            self.assertIn(words, lines[0])
        return lines[0]


class Refusals(StartTestCase):
    """One sentence each."""

    def test_a_second_one_on_the_same_state_directory(self) -> None:
        first = self.gateway()
        first.start()
        second = self.gateway()
        second.log_path = self.directory / "second.log"
        self.refused(second, f"already running on the state directory {first.state_dir}",
                     f"pid {first.pid}", "--state-dir")  # fmt: skip
        self.assertTrue(first.is_ready())
        first.kill()
        again = self.gateway()
        again.start()
        self.assertEqual(again.stop(), 0)

    def test_a_second_one_on_the_same_port(self) -> None:
        first = self.gateway("first")
        first.start()
        second = self.gateway("second")
        second.port = first.port
        self.refused(second, f"port {first.port} on 127.0.0.1", f"pid {first.pid}", "--port")
        self.assertTrue(first.is_ready())

    def test_a_port_somebody_else_has(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            gateway = self.gateway()
            gateway.port = other.getsockname()[1]
            self.refused(gateway, f"port {gateway.port}", f"pid {os.getpid()}")

    def test_an_address_that_is_not_ours(self) -> None:
        gateway = self.gateway(args=("--bind", "192.0.2.1"))
        line = self.refused(gateway, f"cannot listen on 192.0.2.1 port {gateway.port}", "--bind")
        self.assertNotIn("taken", line)

    def test_a_configuration_with_mistakes(self) -> None:
        gateway = self.gateway(config={"gateway": {"prot": 1, "auth": {"token": [SECRET]}}})
        line = self.refused(gateway, str(gateway.state_dir / "config.json"), "prot", "auth/token")
        self.assertNotIn(SECRET, line)

    def test_a_certificate_that_cannot_be_read(self) -> None:
        tls = {"enabled": True, "certPath": "/no/such/cert.pem", "keyPath": "/no/such/key.pem"}
        self.refused(self.gateway(config={"gateway": {"tls": tls}}), "/no/such/")

    def test_beyond_loopback_without_authentication(self) -> None:
        gateway = self.gateway(token=None, args=("--bind", "lan"))
        self.refused(gateway, "refusing to listen beyond loopback without authentication")

    def test_a_token_key_that_is_none(self) -> None:
        gateway = self.gateway()
        (gateway.state_dir / "device-token.key").write_bytes(b"half")
        self.refused(gateway, "device-token.key is not a token key of 32 bytes")

    def test_a_store_of_a_newer_version(self) -> None:
        gateway = self.gateway()
        store = sqlite3.connect(gateway.state_dir / "clawgw.sqlite")
        store.execute("PRAGMA user_version=999")
        store.close()
        self.refused(gateway, "schema 999", "newer clawgw")


class Daemon(StartTestCase):
    """`twistd clawgw` in the background."""

    def test_starts_answers_and_stops_by_its_pid_file(self) -> None:
        gateway = self.gateway()
        pid_file = gateway.state_dir / "twistd.pid"
        command = [
            sys.executable, "-c", "from twisted.scripts.twistd import run; run()",
            f"--pidfile={pid_file}", f"--logfile={gateway.log_path}", "clawgw",
            "--state-dir", str(gateway.state_dir), "--port", str(gateway.port),
        ]  # fmt: skip
        root = Path(__file__).parents[1]
        env = {**os.environ, "CLAWGW_GATEWAY_TOKEN": SECRET, "PYTHONPATH": str(root)}
        started = subprocess.run(
            command, env=env, cwd=gateway.state_dir, timeout=60, capture_output=True, check=False
        )
        self.assertEqual((started.returncode, started.stdout, started.stderr), (0, b"", b""))
        pid = self.wait_for(lambda: pid_file.exists() and int(pid_file.read_text() or 0))
        self.addCleanup(_end, pid)
        self.wait_for(gateway.is_ready)
        with urllib.request.urlopen(f"{gateway.http_url}readyz", timeout=20) as answer:
            self.assertEqual(answer.status, 200)
        self.assertEqual(read_lock(gateway.state_dir)["pid"], pid)
        self.assertNotEqual(os.getsid(pid), os.getsid(0))
        self.assertNotIn(SECRET, gateway.log)
        second = self.gateway()
        second.port = free_port()
        second.log_path = self.directory / "second.log"
        self.refused(second, f"pid {pid}")
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
        self.wait_for(lambda: not _runs(pid))
        self.assertFalse(pid_file.exists())
        self.assertIn("stopped", gateway.log)

    def wait_for(self, condition: Any) -> Any:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = condition()
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError("it did not happen")


def _runs(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def _end(pid: int) -> None:
    if _runs(pid):
        os.kill(pid, signal.SIGKILL)
