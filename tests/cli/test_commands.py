"""The commands, each in a process of its own, against a fake Gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.trial.unittest import TestCase

from clawgw.cli.main import main
from clawgw.gateway.tls import load_server_tls
from tests.gateway.test_tls import Settings
from tests.support.certificates import make_pair
from tests.support.cli import Result, start
from tests.support.fake_gateway import FakeConnection, FakeGateway
from tests.support.ports import hold_port

PENDING = {
    "requestId": "req-1",
    "deviceId": "d" * 64,
    "publicKey": "k",
    "ts": 1,
    "displayName": "Phone\x1b[31m",
    "role": "operator",
    "scopes": ["operator.read"],
}


class CommandTestCase(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.state = Path(self.mktemp())
        self.state.mkdir()
        self.gateway = FakeGateway(reactor)
        self.url = self.gateway.listen()
        self.addCleanup(lambda: ensureDeferred(self.gateway.stop()))

    def answers(self, method: str, payload: Any) -> None:
        self.gateway.methods[method] = lambda connection, frame: connection.answer(frame, payload)

    def refuses(self, method: str, code: str, message: str, **more: Any) -> None:
        self.gateway.methods[method] = lambda connection, frame: connection.refuse(
            frame, code, message, **more
        )

    async def run_clawgw(self, *arguments: str, stdin: str = "", **environ: str) -> Result:
        command = start(["--url", self.url, *arguments], self.state, stdin, **environ)
        self.addCleanup(command.stop)
        return await command.ended


class Calling(CommandTestCase):
    """`call`, and what is common to all commands."""

    async def test_prints_the_payload_as_json(self) -> None:
        self.answers("echo", {"text": "grün", "n": [1, None]})
        result = await self.run_clawgw("call", "echo", '{"a": 1}')
        self.assertEqual(result, Result(0, '{"text": "grün", "n": [1, null]}\n', ""))
        self.assertEqual(self.gateway.requests("echo"), [{"a": 1}])

    async def test_reads_parameters_from_standard_input(self) -> None:
        self.answers("echo", {})
        await self.run_clawgw("call", "echo", "-", stdin='{"b": 2}')
        self.assertEqual(self.gateway.requests("echo"), [{"b": 2}])

    async def test_parameters_that_are_no_object(self) -> None:
        for text in ("[1]", "{"):
            result = await self.run_clawgw("call", "echo", text)
            self.assertEqual(result.code, 2)
        self.assertEqual(self.gateway.connects(), [])

    async def test_an_error_of_the_gateway(self) -> None:
        self.refuses("x", "INVALID_REQUEST", "no such thing")
        result = await self.run_clawgw("call", "x")
        self.assertEqual((result.code, result.out), (1, ""))
        self.assertEqual(result.err, "clawgw: no such thing (INVALID_REQUEST)\n")

    async def test_an_error_as_json(self) -> None:
        self.refuses("x", "UNAVAILABLE", "busy", retryable=True, retryAfterMs=5)
        result = await self.run_clawgw("--json", "call", "x")
        self.assertEqual(result.code, 1)
        error = {"code": "UNAVAILABLE", "message": "busy", "retryable": True, "retryAfterMs": 5}
        self.assertEqual(json.loads(result.err), {"error": error})

    async def test_a_missing_scope(self) -> None:
        self.refuses("x", "FORBIDDEN", "missing scope: operator.admin")
        self.assertEqual((await self.run_clawgw("call", "x")).code, 4)

    async def test_no_answer_in_time(self) -> None:
        self.gateway.methods["x"] = lambda connection, frame: None
        result = await self.run_clawgw("--timeout", "5", "call", "x")  # connecting has no more
        self.assertEqual(result.code, 5)
        self.assertIn("did not answer x within 5 s", result.err)

    async def test_nothing_listens(self) -> None:
        self.url = f"ws://127.0.0.1:{hold_port(self)}"
        result = await self.run_clawgw("health")
        self.assertEqual(result.code, 3)
        self.assertIn("Nothing answers", result.err)

    async def test_a_url_that_is_refused(self) -> None:
        self.url = "ws://gateway.example"
        result = await self.run_clawgw("--json", "health")
        self.assertEqual(result.code, 2)
        self.assertEqual(json.loads(result.err)["error"]["code"], "OptionsError")

    async def test_a_configuration_that_cannot_be_used(self) -> None:
        (self.state / "config.json").write_text('{"gatewya": {}}')
        result = await self.run_clawgw("health")
        self.assertEqual(result.code, 2)
        self.assertIn("gatewya", result.err)
        self.assertNotIn("Traceback", result.err)


class Authorisation(CommandTestCase):
    """Secrets and approvals."""

    def setUp(self) -> None:
        super().setUp()
        self.gateway.token = "right"
        self.answers("health", {"ok": True})

    async def test_token_from_the_option_or_the_environment(self) -> None:
        given = await self.run_clawgw("--token", "right", "health")
        found = await self.run_clawgw("health", OPENCLAW_GATEWAY_TOKEN="right")
        self.assertEqual((given.code, found.code), (0, 0))

    async def test_wrong_token(self) -> None:
        result = await self.run_clawgw("--token", "wrong-one", "health")
        self.assertEqual(result.code, 4)
        self.assertIn("AUTH_TOKEN_MISMATCH", result.err)
        self.assertIn("gateway.auth.token", result.err)
        self.assertNotIn("wrong-one", result.err)

    async def test_not_approved_yet(self) -> None:
        self.gateway.refusal = {
            "code": "NOT_PAIRED",
            "message": "pairing required",
            "details": {"code": "PAIRING_REQUIRED", "requestId": "req-9"},
        }
        result = await self.run_clawgw("health")
        self.assertEqual(result.code, 4)
        self.assertIn("clawgw devices approve req-9", result.err)

    async def test_pinned_on_both_sides(self) -> None:
        client = make_pair(self.state, "client")
        settings = Settings(client_auth="pinned", client_fingerprints=(client.fingerprint,))
        tls = load_server_tls(settings, self.state)
        gateway = FakeGateway(reactor)
        gateway.methods = self.gateway.methods
        self.url = gateway.listen(tls.context_factory)
        self.addCleanup(lambda: ensureDeferred(gateway.stop()))
        pinned = ["--tls-fingerprint", tls.fingerprint]
        ours = ["--client-cert", client.cert_path, "--client-key", client.key_path]
        self.assertEqual((await self.run_clawgw(*pinned, *ours, "health")).code, 0)
        result = await self.run_clawgw(*pinned, "health")
        self.assertEqual(result.code, 3)
        self.assertIn("--client-cert", result.err)


class Looking(CommandTestCase):
    """`health`, `status`, `sessions`."""

    async def test_health(self) -> None:
        self.answers("health", {"ok": True, "defaultAgentId": "main", "sessions": {"count": 3}})
        result = await self.run_clawgw("health")
        self.assertEqual(result.code, 0)
        self.assertEqual(
            result.out.split("\n")[:3],
            ["Gateway:       ok", "Default agent: main", "Sessions:      3"],
        )

    async def test_health_as_json_is_the_payload(self) -> None:
        payload = {"ok": True, "anything": [1, {"x": None}]}
        self.answers("health", payload)
        self.assertEqual((await self.run_clawgw("--json", "health")).json, payload)

    async def test_status_in_version_3(self) -> None:
        self.answers("status", {"sessions": {"count": 0}})
        result = await self.run_clawgw("--protocol", "3", "status")
        self.assertIn("Protocol:     3", result.out)

    async def test_sessions(self) -> None:
        row = {"key": "agent:main:main", "label": "Main", "updatedAt": 1, "kind": "direct"}
        self.answers("sessions.list", {"sessions": [row], "hasMore": True, "totalCount": 9})
        result = await self.run_clawgw("sessions", "list", "--limit", "1")
        self.assertEqual(result.out.splitlines()[1].split("\t")[:2], ["agent:main:main", "Main"])
        self.assertIn("9 in all", result.err)

    async def test_history_of_what_is_not_there(self) -> None:
        self.answers("chat.history", {"messages": []})
        result = await self.run_clawgw("sessions", "history", "nope")
        self.assertEqual((result.code, result.out), (0, ""))
        self.assertIn("Nothing was said in the session nope", result.err)

    async def test_history(self) -> None:
        messages = [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": [{"type": "text", "text": "Hi\x1b[2J"}]},
        ]
        self.answers("chat.history", {"messages": messages})
        result = await self.run_clawgw("sessions", "history", "main")
        self.assertEqual(result.out, "user: Hello\n\nassistant: Hi�[2J\n\n")

    async def test_delete_asks_first(self) -> None:
        self.answers("sessions.delete", {"ok": True, "deleted": True})
        refused = await self.run_clawgw("sessions", "delete", "k", stdin="n\n")
        self.assertNotEqual(refused.code, 0)
        self.assertEqual(self.gateway.requests("sessions.delete"), [])
        done = await self.run_clawgw("sessions", "delete", "k", "--yes")
        self.assertEqual((done.code, done.out), (0, "Deleted k.\n"))
        (params,) = self.gateway.requests("sessions.delete")
        self.assertEqual(params, {"key": "k", "deleteTranscript": True})

    async def test_reset(self) -> None:
        self.answers("sessions.reset", {"ok": True, "key": "agent:main:k"})
        result = await self.run_clawgw("sessions", "reset", "k")
        self.assertEqual(result.out, "Reset agent:main:k.\n")

    async def test_a_gateway_that_answers_nonsense(self) -> None:
        for method in ("health", "sessions.list"):
            self.answers(method, [1])
        for arguments in (["health"], ["sessions", "list"]):
            result = await self.run_clawgw(*arguments)
            self.assertEqual((result.code, result.err), (0, ""))


class Devices(CommandTestCase):
    """`devices`."""

    def waiting(self, *pending: Any) -> None:
        self.answers("device.pair.list", {"pending": list(pending), "paired": []})
        self.answers("device.pair.approve", {"requestId": "req-1", "device": PENDING})

    async def test_list(self) -> None:
        self.waiting(PENDING)
        result = await self.run_clawgw("devices", "list")
        self.assertIn("req-1", result.out)
        self.assertIn("Phone�[31m", result.out)

    async def test_approve_the_only_one(self) -> None:
        self.waiting(PENDING)
        result = await self.run_clawgw("devices", "approve")
        self.assertEqual((result.code, result.out), (0, "Approved Phone�[31m.\n"))
        self.assertEqual(self.gateway.requests("device.pair.approve"), [{"requestId": "req-1"}])

    async def test_approve_when_several_wait(self) -> None:
        self.waiting(PENDING, {**PENDING, "requestId": "req-2"})
        result = await self.run_clawgw("devices", "approve")
        self.assertEqual(result.code, 2)
        self.assertIn("req-2", result.out)
        self.assertEqual(self.gateway.requests("device.pair.approve"), [])
        chosen = await self.run_clawgw("devices", "approve", "req-2")
        self.assertEqual(chosen.code, 0)
        self.assertEqual(self.gateway.requests("device.pair.approve"), [{"requestId": "req-2"}])

    async def test_approve_when_none_waits(self) -> None:
        self.waiting()
        result = await self.run_clawgw("devices", "approve")
        self.assertEqual((result.code, result.out), (0, "No device waits for approval.\n"))

    async def test_reject_rotate_revoke(self) -> None:
        for method in ("device.pair.reject", "device.token.rotate", "device.token.revoke"):
            self.answers(method, {})
        await self.run_clawgw("devices", "reject", "req-1")
        await self.run_clawgw("devices", "rotate", "dev", "--role", "node", "--scope", "a.b")
        await self.run_clawgw("devices", "revoke", "dev")
        self.assertEqual(self.gateway.requests("device.pair.reject"), [{"requestId": "req-1"}])
        self.assertEqual(
            self.gateway.requests("device.token.rotate"),
            [{"deviceId": "dev", "role": "node", "scopes": ["a.b"]}],
        )
        self.assertEqual(
            self.gateway.requests("device.token.revoke"), [{"deviceId": "dev", "role": "operator"}]
        )


class Agent(CommandTestCase):
    """`agent`."""

    def script(self, *events: tuple[str, dict[str, Any]], **final: Any) -> None:
        """Answer `agent` with these events and then this."""

        def run(connection: FakeConnection, frame: dict[str, Any]) -> None:
            run_id = frame["params"]["idempotencyKey"]
            connection.answer(frame, {"status": "accepted", "runId": run_id})
            for stream, data in (("assistant", {"text": "not yours"}), *events):
                mine = run_id if (stream, data) in events else "another"
                connection.event("agent", {"runId": mine, "stream": stream, "data": data})
            connection.answer(frame, {"runId": run_id, "status": "ok", **final})

        self.gateway.methods["agent"] = run

    async def test_prints_the_text_as_it_comes(self) -> None:
        self.script(
            ("assistant", {"text": "Let me", "delta": "Let me"}),
            ("assistant", {"text": "Let me see.", "delta": " see."}),
            ("tool", {"phase": "start", "name": "exec", "args": {"command": "ls"}}),
            ("tool", {"phase": "result", "name": "exec", "isError": True}),
            ("assistant", {"text": "Done.", "delta": "Done."}),
        )
        result = await self.run_clawgw("agent", "-m", "Hello", "--session", "s", "--agent", "a")
        self.assertEqual((result.code, result.out), (0, "Let me see.\nDone.\n"))
        self.assertEqual(result.err, '[exec] {"command": "ls"}\n[exec] failed\n')
        (params,) = self.gateway.requests("agent")
        self.assertEqual((params["sessionKey"], params["agentId"]), ("s", "a"))
        self.assertEqual(params["message"], "Hello")

    async def test_prints_a_text_that_did_not_stream(self) -> None:
        self.script(result={"payloads": [{"text": "One."}, {"text": "Two."}]})
        result = await self.run_clawgw("agent", "-m", "Hello")
        self.assertEqual(result.out, "One.\n\nTwo.\n")

    async def test_as_json_only_the_last_answer(self) -> None:
        self.script(("assistant", {"text": "x"}), summary="completed")
        result = await self.run_clawgw("--json", "agent", "-m", "Hello")
        self.assertEqual(result.json["summary"], "completed")

    async def test_a_run_that_fails(self) -> None:
        self.script(status="error")
        self.assertEqual((await self.run_clawgw("agent", "-m", "Hello")).code, 1)
        self.script(status="timeout")
        self.assertEqual((await self.run_clawgw("agent", "-m", "Hello")).code, 5)

    async def test_interrupted(self) -> None:
        aborted: Deferred[dict[str, Any]] = Deferred()

        def begin(connection: FakeConnection, frame: dict[str, Any]) -> None:
            run_id = frame["params"]["idempotencyKey"]
            accepted = {"status": "accepted", "runId": run_id, "sessionKey": "agent:main:main"}
            connection.answer(frame, accepted)
            data = {"text": "Once upon"}
            connection.event("agent", {"runId": run_id, "stream": "assistant", "data": data})

        def abort(connection: FakeConnection, frame: dict[str, Any]) -> None:
            connection.answer(frame, {"ok": True, "aborted": True})
            aborted.callback(frame["params"])

        self.gateway.methods.update({"agent": begin, "chat.abort": abort})
        command = start(["--url", self.url, "agent", "-m", "Tell"], self.state)
        self.addCleanup(command.stop)
        await command.spoke
        command.signal("INT")
        params = await aborted
        (asked,) = self.gateway.requests("agent")
        self.assertEqual(
            params, {"sessionKey": "agent:main:main", "runId": asked["idempotencyKey"]}
        )
        result = await command.ended
        self.assertEqual(result.code, 130)
        self.assertIn("The run was aborted.", result.err)


class Help(CommandTestCase):
    """What costs no connection."""

    async def test_exit_codes_are_documented(self) -> None:
        result = await self.run_clawgw("--help")
        self.assertEqual(result.code, 0)
        self.assertIn("130  interrupted", result.out)

    async def test_help_does_not_load_twisted(self) -> None:
        result = await self.run_clawgw("agent", "--help", PYTHONPROFILEIMPORTTIME="1")
        self.assertEqual(result.code, 0)
        self.assertIn("clawgw.cli", result.err)
        for module in ("twisted", "autobahn", "msgspec", "rich"):
            self.assertNotIn(f" {module}", result.err)

    def test_every_option_says_what_it_is_for(self) -> None:
        silent = [
            f"{path} {option.opts[0]}"
            for path, command in commands(main, "clawgw")
            for option in command.params
            if isinstance(option, click.Option) and not option.hidden and not option.help
        ]
        self.assertEqual(silent, [])

    def test_no_line_of_a_list_of_commands_is_cut(self) -> None:
        for path, command in commands(main, "clawgw"):
            if isinstance(command, click.Group):
                shown = command.get_help(click.Context(command, info_name=path, terminal_width=78))
                self.assertNotIn("...", shown.split("Commands:")[1], path)

    async def test_version(self) -> None:
        result = await self.run_clawgw("--version")
        self.assertRegex(result.out, r"^clawgw, version \d")


class Mistakes(CommandTestCase):
    """What is wrong with a command line is one line, and the Gateway hears nothing of it."""

    async def test_one_line_that_names_what_is_expected(self) -> None:
        for line, complaint in (
            (["zzz"], "No such command 'zzz'. See clawgw --help."),
            (["--zzz"], "No such option '--zzz'."),
            (["--timeout", "x", "health"], "expected seconds, more than 0, not"),
            (["--timeout", "nan", "health"], "expected seconds, more than 0, not"),
            (["--protocol", "5", "health"], "expected a whole number from 3 to 4, not '5'"),
            (["sessions", "list", "--limit", "some"], "expected a whole number from 1, not 'some'"),
            (["sessions", "history"], "Missing argument 'KEY'. See clawgw sessions history --help"),
            (["agent"], "Missing option '-m' / '--message'. See clawgw agent --help."),
            (["call", "x", "{"], "JSON: not JSON: "),
            (["call", "x", "[1]"], 'JSON: an object is expected, such as {"limit": 5}.'),
            (["nodes", "invoke", "n", "c", "{"], "JSON: not JSON: "),
            (["pairing", "list", "myspace"], "There is no channel 'myspace'; there are telegram"),
            (["message", "poll", "--to", "x:1", "--question", "?"], "Give 2 to 12 answers"),
            (["canvas", "push", "nowhere.html"], "'SOURCE': Path 'nowhere.html' does not exist"),
        ):
            result = await self.run_clawgw(*line)
            self.assertEqual((result.code, result.out), (2, ""), line)
            self.assertIn(complaint, result.err)
            self.assertTrue(result.err.startswith("clawgw: "), result.err)
            self.assertEqual(result.err.count("\n"), 1, result.err)
        self.assertEqual(self.gateway.connects(), [])

    async def test_as_json(self) -> None:
        result = await self.run_clawgw("--json", "sessions", "history")
        self.assertEqual(result.code, 2)
        error = {"code": "MissingParameter", "message": "Missing argument 'KEY'."}
        self.assertEqual(json.loads(result.err), {"error": error})
        result = await self.run_clawgw("--json", "zzz")
        self.assertEqual(json.loads(result.err)["error"]["message"], "No such command 'zzz'.")

    async def test_what_the_gateway_does_not_know(self) -> None:
        for line, method, listed in (
            (["devices", "approve", "x"], "device.pair.approve", "clawgw devices list"),
            (["devices", "reject", "x"], "device.pair.reject", "clawgw devices list"),
            (["devices", "revoke", "x"], "device.token.revoke", "clawgw devices list"),
            (["devices", "rotate", "x"], "device.token.rotate", "clawgw devices list"),
            (["nodes", "approve", "x"], "node.pair.approve", "clawgw nodes pending"),
            (["nodes", "reject", "x"], "node.pair.reject", "clawgw nodes pending"),
        ):
            self.refuses(method, "INVALID_REQUEST", "unknown requestId")
            result = await self.run_clawgw(*line)
            self.assertEqual(result.code, 1)
            self.assertIn("unknown requestId", result.err)
            self.assertIn(listed, result.err)

    async def test_a_command_that_is_missing(self) -> None:
        result = await self.run_clawgw("sessions")
        self.assertEqual(result.code, 2)
        self.assertIn("List sessions, the latest first.", result.err)

    async def test_files_that_are_no_text(self) -> None:
        noise = self.state / "noise.jsonl"
        noise.write_bytes(b"\xff\xfe")
        for source, complaint in ((noise, "is not UTF-8 text"), (self.state, "Is a directory")):
            result = await self.run_clawgw("canvas", "push", "--a2ui", str(source))
            self.assertEqual(result.code, 2)
            self.assertIn(f"SOURCE: {source}", result.err)
            self.assertIn(complaint, result.err)
            self.assertEqual(result.err.count("\n"), 1, result.err)
        self.assertEqual(self.gateway.connects(), [])


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """A command and all below it, each with its words."""
    yield path, command
    if isinstance(command, click.Group):
        for name, one in command.commands.items():
            yield from commands(one, f"{path} {name}")
