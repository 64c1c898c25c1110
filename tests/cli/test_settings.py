"""Which Gateway a command talks to, and that a secret goes to no other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from clawgw.cli.settings import Globals, Target, find_target
from clawgw.config import parse_config

LOCAL = {"auth": {"token": "local"}}
REMOTE = {"url": "wss://far.example:1", "token": "remote", "tlsFingerprint": "ab" * 32}


class FindTarget(SynchronousTestCase):
    def setUp(self) -> None:
        self.state = Path(self.mktemp())
        self.state.mkdir()
        self.environ: dict[str, str] = {}

    def find(self, gateway: dict[str, Any] | None = None, **options: Any) -> Target:
        config = parse_config(json.dumps({"gateway": gateway or {}}))
        return find_target(Globals(**options), self.environ, config, self.state)

    def lock(self, content: Any) -> None:
        """Write the lock file as a Gateway does."""
        text = content if isinstance(content, str) else json.dumps(content)
        (self.state / "gateway.lock").write_text(text)

    def gateway_runs(self, **facts: Any) -> None:
        self.lock({"pid": os.getpid(), **facts})

    def test_nothing_known(self) -> None:
        self.assertEqual(self.find(), Target("ws://127.0.0.1:18789"))

    def test_configured_port(self) -> None:
        target = self.find({"port": 4000, **LOCAL})
        self.assertEqual(target, Target("ws://127.0.0.1:4000", token="local"))

    def test_configured_tls(self) -> None:
        self.assertEqual(self.find({"tls": {"enabled": True}}).url, "wss://127.0.0.1:18789")

    def test_password_where_there_is_no_token(self) -> None:
        target = self.find({"auth": {"password": "p"}})
        self.assertEqual((target.token, target.password), (None, "p"))

    def test_running_gateway(self) -> None:
        self.gateway_runs(url="wss://127.0.0.1:5", tlsFingerprint="sha256:" + "c" * 64)
        target = self.find(LOCAL)
        expected = Target("wss://127.0.0.1:5", "sha256:" + "c" * 64, "local")
        self.assertEqual(target, expected)

    def test_lock_of_a_gateway_that_is_gone(self) -> None:
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        self.lock({"pid": gone.pid, "url": "ws://127.0.0.1:5"})
        self.assertEqual(self.find().url, "ws://127.0.0.1:18789")

    def test_lock_that_says_nothing(self) -> None:
        pid = os.getpid()
        for content in ("", "[]", {}, {"pid": pid}, {"pid": pid, "url": 5}, {"url": "ws://x:5"}):
            self.lock(content)
            self.assertEqual(self.find().url, "ws://127.0.0.1:18789")

    def test_remote_gateway(self) -> None:
        expected = Target("wss://far.example:1", "ab" * 32, "remote")
        self.assertEqual(self.find({"remote": REMOTE, **LOCAL}), expected)

    def test_running_gateway_before_a_remote_one(self) -> None:
        self.gateway_runs(url="ws://127.0.0.1:5")
        self.assertEqual(self.find({"remote": REMOTE}).url, "ws://127.0.0.1:5")

    def test_unless_the_configuration_says_remote(self) -> None:
        self.gateway_runs(url="ws://127.0.0.1:5")
        target = self.find({"mode": "remote", "remote": REMOTE})
        self.assertEqual(target.url, "wss://far.example:1")

    def test_secrets_of_the_configuration_stay_home(self) -> None:
        gateway = {"remote": REMOTE, **LOCAL}
        self.gateway_runs(url="ws://127.0.0.1:5")
        for url in ("wss://elsewhere.example", "ws://127.0.0.1:6", "wss://far.example:2"):
            self.assertEqual(self.find(gateway, url=url), Target(url))

    def test_a_url_we_know_gets_its_own_secret(self) -> None:
        gateway = {"remote": REMOTE, **LOCAL}
        self.gateway_runs(url="ws://127.0.0.1:5")
        self.assertEqual(self.find(gateway, url="ws://127.0.0.1:5/").token, "local")
        self.assertEqual(self.find(gateway, url="wss://far.example:1").token, "remote")

    def test_option_then_environment_then_configuration(self) -> None:
        self.assertEqual(self.find(LOCAL).token, "local")
        for name in ("CLAWDBOT", "OPENCLAW", "CLAWGW"):
            self.environ[f"{name}_GATEWAY_TOKEN"] = name
            self.assertEqual(self.find(LOCAL).token, name)
        self.assertEqual(self.find(LOCAL, token="option").token, "option")

    def test_a_given_pin_wins(self) -> None:
        target = self.find({"remote": REMOTE}, tls_fingerprint="ef" * 32)
        self.assertEqual(target.tls_fingerprint, "ef" * 32)

    def test_secrets_are_not_shown(self) -> None:
        target = self.find(LOCAL)
        options = Globals(token="sesame", password="sesame")
        self.assertNotIn("local", repr(target))
        self.assertNotIn("sesame", repr(options))
