"""`certs/make-dev-certs` makes a pair that works as it stands."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase

import clawgw
from clawgw.client import ClientOptions, GatewayClient
from clawgw.config import parse_config
from clawgw.gateway.tls import load_server_tls
from tests.support.fake_gateway import FakeGateway

SCRIPT = Path(clawgw.__file__).resolve().parent.parent / "certs" / "make-dev-certs"


class MakeDevCerts(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.out = Path(self.mktemp()).resolve()

    async def make(self, *arguments: str) -> tuple[int, str, str]:
        env = {"PATH": os.environ["PATH"], "CLAWGW_CERTS_OUT": str(self.out)}
        out, err, code = await getProcessOutputAndValue(str(SCRIPT), arguments, env=env)
        return code, out.decode(), err.decode()

    async def test_what_it_prints_works(self) -> None:
        code, printed, _ = await self.make("gw.lan")
        self.assertEqual(code, 0)
        found = re.search(r"^\{.*?^\}", printed, re.DOTALL | re.MULTILINE)
        assert found is not None
        settings = parse_config(json.dumps(json.loads(found.group()))).gateway.tls
        options = dict(re.findall(r"--(tls-fingerprint|client-cert|client-key) (\S+)", printed))
        tls = load_server_tls(settings, self.out)
        self.assertEqual(options["tls-fingerprint"], tls.fingerprint)
        gateway = FakeGateway(reactor)
        url = gateway.listen(tls.context_factory)
        self.addCleanup(gateway.stop)
        given: dict[str, Any] = {name.replace("-", "_"): value for name, value in options.items()}
        client = GatewayClient(reactor, ClientOptions(url=url, **given))
        self.assertEqual((await client.connect()).protocol, 4)
        await client.close()

    async def test_keys_are_the_owners(self) -> None:
        await self.make()
        for name in ("gateway-key.pem", "client-key.pem"):
            self.assertEqual(stat.S_IMODE((self.out / name).stat().st_mode), 0o600)

    async def test_replaces_nothing_unasked(self) -> None:
        await self.make()
        before = (self.out / "gateway-cert.pem").read_bytes()
        code, _, err = await self.make()
        self.assertEqual(code, 1)
        self.assertIn("--force", err)
        self.assertEqual((self.out / "gateway-cert.pem").read_bytes(), before)
        code, _, _ = await self.make("--force")
        self.assertEqual(code, 0)
        self.assertNotEqual((self.out / "gateway-cert.pem").read_bytes(), before)
