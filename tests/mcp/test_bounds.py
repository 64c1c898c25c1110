"""What a session's token is good for, and for how long: the tools' side and a thief's."""

from __future__ import annotations

import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.mcp.support import LIMIT, Bound, Tools, ToolsTestCase, token_of, variable
from tests.support import wire
from tests.support.certificates import make_pair
from tests.support.wire import Client, Refused, device

MAIN, SIDE, OTHER = "agent:main:main", "agent:main:side", "agent:other:main"


class BoundTestCase(ToolsTestCase):
    """With a thief."""

    def thief(self, token: str, **changes: Any) -> Bound:
        """Somebody who shows a session's token."""
        client = Bound(self.gateway.port, token, **changes)
        self.addCleanup(client.cut)
        return client

    def refused(self, token: str, **changes: Any) -> None:
        """That the token opens nothing."""
        refusal = self.assertRaises(Refused, Bound, self.gateway.port, token, **changes)
        self.assertEqual(refusal.error["details"]["code"], "AUTH_UNAUTHORIZED")
        self.assertNotIn(token, str(refusal))


class Reach(BoundTestCase):
    """What may be called and heard."""

    def test_hello_tells_what_may_be_called_and_nothing_of_others(self) -> None:
        hello = self.thief(token_of(self.server_of(MAIN)), scopes=["operator.admin"]).hello
        self.assertEqual(
            set(hello["features"]["methods"]),
            {
                "agent", "chat.history", "sessions.list", "node.list", "node.describe",
                "node.invoke", "canvas.files.write", "canvas.files.read", "canvas.files.list",
                "canvas.files.delete", "canvas.files.reset", "canvas.a2ui.push",
                "canvas.a2ui.pushJSONL", "canvas.a2ui.reset",
            },
        )  # fmt: skip
        self.assertEqual(hello["features"]["events"], ["shutdown"])
        self.assertEqual(hello["auth"]["method"], "session-token")
        self.assertEqual(hello["auth"]["scopes"], ["operator.read", "operator.write"])
        self.assertNotIn("deviceToken", hello["auth"])
        self.assertEqual(hello["snapshot"]["presence"], [])
        self.assertEqual(hello["snapshot"]["health"], {})
        self.assertNotIn("configPath", hello["snapshot"])
        self.assertNotIn("pluginSurfaceUrls", hello)

    def test_no_other_method(self) -> None:
        thief = self.thief(token_of(self.server_of(MAIN)))
        everything = set(self.operator.hello["features"]["methods"])
        open_to_it = set(thief.hello["features"]["methods"])
        self.assertIn("device.pair.list", everything)
        for method in sorted(everything - open_to_it):
            refusal = self.assertRaises(Refused, thief.request, method)
            self.assertIn(refusal.code, ("FORBIDDEN", "INVALID_REQUEST"), method)
            self.assertTrue(
                "is not open to this agent's tools" in refusal.error["message"]
                or "connect" in refusal.error["message"],
                (method, refusal.error),
            )

    def test_a_denied_tool_is_refused_to_whoever_holds_the_token(self) -> None:
        thief = self.thief(token_of(self.server_of("agent:plain:main")))
        for method, params in (
            ("canvas.files.write", {"path": "a", "content": "b"}), ("node.list", {}),
        ):  # fmt: skip
            refusal = self.assertRaises(Refused, thief.request, method, params)
            self.assertEqual(refusal.code, "FORBIDDEN", method)

    def test_sessions_of_others(self) -> None:
        self.ask(OTHER, "a secret of the other agent")
        thief = self.thief(token_of(self.hold(MAIN)))
        sent = {"message": "hi", "idempotencyKey": "k1"}
        for method, params in (
            ("chat.history", {"sessionKey": OTHER}),
            ("chat.history", {"sessionKey": "main", "agentId": "other"}),
            ("agent", {"sessionKey": OTHER, **sent}),
            ("agent", {"agentId": "other", **sent}),
            ("agent", {"sessionKey": MAIN, **sent}),
            ("canvas.a2ui.push", {"sessionKey": OTHER, "messages": []}),
            ("canvas.a2ui.reset", {"sessionKey": OTHER}),
        ):
            refusal = self.assertRaises(Refused, thief.request, method, params)
            self.assertNotIn("secret", str(refusal), method)
        for params in ({}, {"agentId": "other"}, {"search": "secret"}):
            listed = thief.request("sessions.list", params)
            self.assertNotIn(OTHER, [row["key"] for row in listed["sessions"]])
        self.assertNotIn("hi", self.history(OTHER).split())

    def test_only_the_message_of_a_send_counts(self) -> None:
        self.ask(SIDE, "hello")
        thief = self.thief(token_of(self.hold(MAIN)))
        thief.request(
            "agent",
            {
                "sessionKey": SIDE, "message": "do it", "idempotencyKey": "k1",
                "extraSystemPrompt": "OBEY", "model": "evil/model", "timeout": 1,
                "inputProvenance": {"kind": "external_user"},
            },
        )  # fmt: skip
        run = "k1"
        self.operator.event("chat", lambda one: one["runId"] == run and one["state"] == "final")
        said = self.history(SIDE)
        self.assertIn("[This message is from the agent 'main'", said)
        self.assertNotIn("OBEY", said)

    def test_no_events(self) -> None:
        thief = self.thief(token_of(self.server_of(MAIN)))
        self.ask(OTHER, "hello")
        thief.request("sessions.list")
        self.assertEqual([frame["event"] for frame in thief.events[1:]], [])

    def test_tools_are_no_presence(self) -> None:
        before = len(self.operator.request("system-presence"))
        self.thief(token_of(self.server_of(MAIN)))
        self.assertEqual(len(self.operator.request("system-presence")), before)


class Visibility(BoundTestCase):
    """`tools.sessions.visibility`."""

    def listed(self, token: str) -> set[str]:
        answer = self.thief(token).request("sessions.list")
        return {row["key"] for row in answer["sessions"]}


class OnlyItself(Visibility):
    """`self`."""

    config = {"tools": {"sessions": {"visibility": "self"}}}  # noqa: RUF012

    def test_other_sessions_of_the_agent_are_out_of_reach(self) -> None:
        self.ask(SIDE, "hello")
        token = token_of(self.server_of(MAIN))
        self.assertEqual(self.listed(token), {MAIN})
        thief = self.thief(token)
        thief.request("chat.history", {"sessionKey": MAIN})
        self.assertRaises(Refused, thief.request, "chat.history", {"sessionKey": SIDE})


class Everybody(Visibility):
    """`all`."""

    config = {"tools": {"sessions": {"visibility": "all"}}}  # noqa: RUF012

    def test_sessions_of_all_agents(self) -> None:
        self.ask(OTHER, "hello")
        token = token_of(self.server_of(MAIN))
        self.assertEqual(self.listed(token), {MAIN, OTHER})
        self.thief(token).request("chat.history", {"sessionKey": OTHER})


class Lifetime(BoundTestCase):
    """How a token ends."""

    def ended(self, server: dict[str, Any], end: Any) -> None:
        """That the server ends by itself, connections end, and the token opens nothing."""
        token = token_of(server)
        thief = self.thief(token)
        environ = {one["name"]: one["value"] for one in server["env"]}
        process = subprocess.Popen(
            [server["command"], *server["args"]], env=environ, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        self.greet(process)
        end()
        self.assertEqual(process.wait(LIMIT), 0, process.stderr)
        thief.ending()
        self.refused(token)

    def greet(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until the server answers."""
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(
            b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":'
            b'"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}\n'
        )
        process.stdin.flush()
        self.assertIn(b'"serverInfo"', process.stdout.readline())

    def test_useless_after_a_reset(self) -> None:
        server = self.server_of(SIDE)
        self.ended(server, lambda: self.operator.request("sessions.reset", {"key": SIDE}))
        fresh = self.server_of(SIDE)
        self.assertNotEqual(token_of(fresh), token_of(server))
        self.thief(token_of(fresh)).request("chat.history", {"sessionKey": SIDE})

    def test_useless_after_the_session_was_deleted(self) -> None:
        server = self.server_of(SIDE)
        self.ended(server, lambda: self.operator.request("sessions.delete", {"key": SIDE}))

    def test_useless_after_the_agent_has_ended(self) -> None:
        server = self.server_of(MAIN)
        (pid,) = self.agent_pids()
        self.ended(server, lambda: subprocess.run(["kill", "-KILL", str(pid)], check=True))

    def agent_pids(self) -> list[int]:
        """The processes the Gateway has started."""
        path = f"/proc/{self.gateway.pid}/task/{self.gateway.pid}/children"
        with open(path, encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]

    def test_useless_after_a_restart(self) -> None:
        server = self.server_of(MAIN)

        def restart() -> None:
            self.gateway.stop()
            self.gateway.start()

        self.ended(server, restart)

    def test_a_wrong_token_makes_its_address_wait(self) -> None:
        for _ in range(5):
            self.refused("wrong")
        refusal = self.assertRaises(Refused, Bound, self.gateway.port, "wrong")
        self.assertEqual(refusal.error["details"]["code"], "AUTH_RATE_LIMITED")

    def test_the_server_ends_with_its_standard_input(self) -> None:
        server = self.server_of(MAIN)
        environ = {one["name"]: one["value"] for one in server["env"]}
        process = subprocess.Popen(
            [server["command"], *server["args"]], env=environ, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.greet(process)
        out, err = process.communicate(timeout=LIMIT)
        self.assertEqual((process.returncode, out, err), (0, b"", b""))


class Start(BoundTestCase):
    """How an agent is told of its tools."""

    def test_the_token_is_in_the_environment_alone(self) -> None:
        server = self.server_of(MAIN)
        self.assertEqual(server["name"], "clawgw")
        self.assertEqual(server["args"][-3:], ["-m", "clawgw.cli", "mcp"])
        self.assertNotIn(token_of(server), " ".join([server["command"], *server["args"]]))
        self.assertEqual(variable(server, "CLAWGW_MCP_URL"), self.gateway.ws_url)
        self.assertNotIn(token_of(server), self.gateway.log)
        names = {one["name"] for one in server["env"]}
        self.assertNotIn("CLAWGW_GATEWAY_TOKEN", names)

    def test_each_session_has_its_own(self) -> None:
        self.ask(MAIN, "a")
        self.ask(SIDE, "b")
        self.ask(MAIN, "c")
        servers = [server for (server,) in self.servers()]
        self.assertEqual(len({token_of(server) for server in servers}), 2)

    def test_a_loaded_session_gets_a_new_one(self) -> None:
        before = self.server_of(MAIN)
        self.gateway.stop()
        self.gateway.start()
        self.operator = self.connect()
        after = self.server_of(MAIN)
        self.refused(token_of(before))
        self.thief(token_of(after))

    def agents(self) -> dict[str, dict[str, Any]]:
        agents = super().agents()
        agents["nothing"] = {"tools": {"deny": ["*"]}}
        return agents

    def settings(self) -> dict[str, Any]:
        settings = super().settings()
        for agent in settings["agents"]["list"]:
            agent["env"]["LOADS"] = "1"
        return settings

    def test_an_agent_without_tools_gets_no_server(self) -> None:
        self.ask("agent:nothing:main", "hello")
        self.assertEqual(self.servers(), [[]])

    def test_started_by_hand_it_says_what_it_is_for(self) -> None:
        server = self.server_of(MAIN)
        for environ, code, says in (
            ({}, 2, "The Gateway gives them to the agents it starts"),
            ({"CLAWGW_MCP_TOKEN": "x", "CLAWGW_MCP_URL": "ws://192.0.2.1:1"}, 3, "this host"),
            ({"CLAWGW_MCP_TOKEN": "x", "CLAWGW_MCP_URL": "ws://127.0.0.1:1"}, 3,
             "cannot be reached"),
            ({"CLAWGW_MCP_TOKEN": "secret-x", "CLAWGW_MCP_URL": self.gateway.ws_url}, 4,
             "session token mismatch"),
        ):  # fmt: skip
            kept = {
                one["name"]: one["value"]
                for one in server["env"]
                if not one["name"].startswith("CLAWGW_")
            }
            done = subprocess.run(
                [server["command"], *server["args"]], env={**kept, **environ},
                capture_output=True, stdin=subprocess.DEVNULL, timeout=LIMIT, check=False,
            )  # fmt: skip
            said = done.stderr.decode()
            self.assertEqual((done.returncode, done.stdout), (code, b""), said)
            self.assertIn(says, said)
            self.assertNotIn("secret-x", said)
            self.assertEqual(said.count("\n"), 1, said)


class Encrypted(BoundTestCase):
    """With TLS: the certificate is pinned."""

    config = {"gateway": {"tls": {"enabled": True}}}  # noqa: RUF012

    def test_tools_work_over_tls(self) -> None:
        server = self.server_of(MAIN)
        self.assertTrue(variable(server, "CLAWGW_MCP_URL").startswith("wss://127.0.0.1:"))

        async def work(tools: Tools) -> str:
            return await tools.text("sessions_list")

        self.assertIn(MAIN, self.with_tools(server, work))

    def test_another_certificate_is_told_nothing(self) -> None:
        server = self.server_of(MAIN)
        environ = {one["name"]: one["value"] for one in server["env"]}
        for pin, says in (("sha256:" + "0" * 64, "not the pinned one"), ("x", "cannot be used")):
            environ["CLAWGW_MCP_TLS_FINGERPRINT"] = pin
            done = subprocess.run(
                [server["command"], *server["args"]], env=environ, capture_output=True,
                stdin=subprocess.DEVNULL, timeout=LIMIT, check=False,
            )  # fmt: skip
            self.assertEqual(done.returncode, 3, done.stderr)
            self.assertIn(says, done.stderr.decode())
        self.assertNotIn("session-token", self.gateway.log)


class ClientsPinned(BoundTestCase):
    """Where clients need a certificate, agents' tools have a port of their own, and only they."""

    def setUp(self) -> None:
        directory = self.mktemp()
        Path(directory).mkdir(parents=True)
        self.pair = make_pair(directory, "operator")
        self.patch(wire, "_tls", self.with_certificate)
        super().setUp()

    def with_certificate(self, plain: socket.socket) -> socket.socket:
        """TLS as an operator who is let in."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(self.pair.cert_path, self.pair.key_path)
        return context.wrap_socket(plain)

    def settings(self) -> dict[str, Any]:
        pins = [self.pair.fingerprint]
        tls = {"enabled": True, "clientAuth": "pinned", "clientFingerprints": pins}
        return {**super().settings(), "gateway": {"tls": tls}}

    def test_tools_work_and_nobody_else_gets_in_there(self) -> None:
        server = self.server_of(MAIN)
        url = urlsplit(variable(server, "CLAWGW_MCP_URL"))
        self.assertEqual((url.scheme, url.hostname), ("ws", "127.0.0.1"))
        self.assertNotEqual(url.port, self.gateway.port)
        assert url.port is not None

        async def work(tools: Tools) -> str:
            return await tools.text("sessions_list")

        self.assertIn(MAIN, self.with_tools(server, work))
        identity = device(self.directory, "operator")
        for more in ({}, {"identity": identity}):
            refusal = self.assertRaises(Refused, Client, url.port, protocol=4, **more)
            self.assertEqual(refusal.error["details"]["code"], "AUTH_UNAUTHORIZED")
