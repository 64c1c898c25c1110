"""`system.run`, `system.which`, `system.notify`: real processes, a real socket."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from clawgw.nodehost.capabilities import Machine
from clawgw.nodehost.settings import NodeSettings
from clawgw.nodehost.system import notification
from tests.nodehost.support import HostTestCase, is_alive, script
from tests.support.clocked import ClockedReactor

ECHO = shutil.which("echo") or "/bin/echo"
RUN = "system.run"


class WhichTests(HostTestCase):
    """`system.which`."""

    async def test_as_it_was_recorded(self) -> None:
        for protocol in (3, 4):
            with self.subTest(protocol=protocol):
                host = await self.start_host(protocol=protocol)
                result = await self.gateway.ask("system.which", {"bins": ["sh", "nothing", "a/b"]})
                sh = shutil.which("sh")
                self.assertEqual(
                    result,
                    {
                        "id": result["id"],
                        "nodeId": self.gateway.node_id,
                        "ok": True,
                        "payloadJSON": json.dumps({"bins": {"sh": sh}}, separators=(",", ":")),
                    },
                )
                await host.stop()
                await self.eventually(lambda: not self.gateway.connections)

    async def test_mistakes(self) -> None:
        await self.start_host()
        for params in ({}, {"bins": "sh"}, {"bins": [1]}, {"bins": ["x"] * 257}, []):
            self.assertEqual((await self.error("system.which", params))["code"], "INVALID_REQUEST")


class RunTests(HostTestCase):
    """What running a program gives."""

    async def test_the_result(self) -> None:
        self.allow_all()
        await self.start_host()
        line = "echo out; echo err >&2; exit 3"
        self.assertEqual(
            await self.payload(RUN, {"command": ["sh", "-c", line]}),
            {
                "exitCode": 3,
                "timedOut": False,
                "success": False,
                "stdout": "out\n",
                "stderr": "err\n",
                "error": None,
                "truncated": False,
            },
        )

    async def test_parameters_that_are_no_text(self) -> None:
        self.allow_all()
        await self.start_host()
        result = await self.gateway.ask(
            RUN, {"command": ["echo", "hi"], "newField": 1}, as_text=False
        )
        self.assertEqual(json.loads(result["payloadJSON"])["stdout"], "hi\n")

    async def test_directory_and_environment(self) -> None:
        self.allow_all()
        await self.start_host(
            environ={**os.environ, "CLAWGW_GATEWAY_TOKEN": "secret", "OPENCLAW_X": "secret"}
        )
        here = os.path.realpath(self.directory)
        given = {"command": ["sh", "-c", "pwd; env"], "cwd": here, "env": {"GREETING": "hello"}}
        lines = (await self.payload(RUN, given))["stdout"].splitlines()
        self.assertEqual(lines[0], here)
        self.assertIn("GREETING=hello", lines)
        self.assertIn(f"PWD={here}", lines)
        self.assertNotIn("secret", " ".join(lines))

    async def test_without_a_directory_it_runs_at_home_or_at_the_root(self) -> None:
        self.allow_all()
        here = os.path.realpath(self.directory)
        for home, expected in ((here, here), (f"{here}/nowhere", "/")):
            host = await self.start_host(environ={**os.environ, "HOME": home})
            result = await self.payload(RUN, {"command": ["pwd"]})
            self.assertEqual(result["stdout"], f"{expected}\n")
            await host.stop()
            await self.eventually(lambda: not self.gateway.connections)

    async def test_what_cannot_be_run(self) -> None:
        self.allow_all()
        await self.start_host()
        for params, word in (
            ({}, "command"),
            ({"command": []}, "command"),
            ({"command": "ls"}, "command"),
            ({"command": ["no-such-program"]}, "no-such-program"),
            ({"command": ["echo", "a\0b"]}, "NUL"),
            ({"command": ["echo"], "cwd": "/no/such/directory"}, "cwd"),
            ({"command": ["echo"], "env": {"LD_PRELOAD": "x"}}, "LD_PRELOAD"),
            ({"command": ["echo"], "env": {"A": 1}}, "env"),
            ({"command": ["echo"], "timeoutMs": -1}, "timeoutMs"),
            ({"command": ["echo"], "agentId": "*"}, "agentId"),
        ):
            error = await self.error(RUN, params)
            self.assertEqual(error["code"], "INVALID_REQUEST", params)
            self.assertIn(word, error["message"])
        error = await self.error(RUN, {"command": ["echo"], "needsScreenRecording": True})
        self.assertTrue(error["message"].startswith("PERMISSION_MISSING: screenRecording"))

    async def test_a_flood_is_cut_and_says_so(self) -> None:
        self.allow_all()
        await self.start_host()
        result = await self.payload(RUN, {"command": ["head", "-c", "1000000", "/dev/zero"]})
        self.assertTrue(result["truncated"])
        self.assertTrue(result["success"])
        self.assertTrue(result["stdout"].endswith("\n... (truncated)"))
        self.assertLess(len(result["stdout"]), 200_100)

    async def test_the_programs_own_time_limit(self) -> None:
        self.allow_all()
        clocked = ClockedReactor()
        await self.start_host(clocked=clocked)
        pid_file = self.directory / "pid"
        line = f"echo begun; sleep 300 & echo $! > {pid_file}; wait"
        params = {"command": ["sh", "-c", line], "timeoutMs": 4000}
        asked = Deferred.fromCoroutine(self.payload(RUN, params))
        await self.eventually(lambda: pid_file.exists() and pid_file.read_text())
        clocked.clock.advance(4)
        result = await asked
        self.assertEqual((result["timedOut"], result["success"]), (True, False))
        self.assertEqual(result["stdout"], "begun\n")
        await self.eventually(lambda: not is_alive(int(pid_file.read_text())))

    async def test_the_callers_time_limit_leaves_time_for_a_result(self) -> None:
        self.allow_all()
        clocked = ClockedReactor()
        await self.start_host(clocked=clocked)
        begun = self.directory / "begun"
        params = {"command": ["sh", "-c", f"echo begun; echo > {begun}; exec sleep 300"]}
        asked = Deferred.fromCoroutine(self.payload(RUN, params, timeoutMs=4000))
        await self.eventually(begun.exists)
        clocked.clock.advance(3.9)
        result = await asked
        self.assertEqual((result["timedOut"], result["stdout"]), (True, "begun\n"))

    async def test_many_at_once(self) -> None:
        self.allow_all()
        await self.start_host()
        waiting = [self.gateway.ask(RUN, {"command": ["echo", str(n)]}) for n in range(40)]
        outputs = [json.loads((await result)["payloadJSON"])["stdout"] for result in waiting]
        self.assertEqual(outputs, [f"{n}\n" for n in range(40)])

    async def test_the_session_hears_of_the_end(self) -> None:
        self.allow_all()
        await self.start_host()
        params = {"command": ["sh", "-c", "echo out; exit 2"], "sessionKey": "s", "runId": "r"}
        await self.payload(RUN, params)
        await self.payload(RUN, {**params, "suppressNotifyOnExit": True})
        await self.payload(RUN, {"command": ["echo"]})
        told = [event for event in self.gateway.requests("node.event")
                if event["event"] == "exec.finished"]  # fmt: skip
        self.assertEqual(
            [json.loads(event["payloadJSON"]) for event in told],
            [
                {
                    "sessionKey": "s",
                    "runId": "r",
                    "host": "node",
                    "command": "sh -c 'echo out; exit 2'",
                    "exitCode": 2,
                    "timedOut": False,
                    "success": False,
                    "output": "out",
                }
            ],
        )


class PermissionTests(HostTestCase):
    """Who may run what."""

    async def denied(self, params: dict[str, Any], why: str, **more: Any) -> None:
        error = await self.error(RUN, params, **more)
        self.assertEqual(error, {"code": "UNAVAILABLE", "message": why})

    async def test_a_fresh_node_runs_nothing(self) -> None:
        await self.start_host()
        await self.denied(
            {"command": ["echo"], "sessionKey": "s", "runId": "r"},
            "SYSTEM_RUN_DENIED: approval required",
        )
        asked = self.gateway.requests("node.approval.request")
        self.assertEqual(len(asked), 1)
        told = self.gateway.requests("node.event")[-1]
        self.assertEqual(told["event"], "exec.denied")
        self.assertEqual(
            json.loads(told["payloadJSON"])["reason"], "SYSTEM_RUN_DENIED: approval required"
        )

    async def test_deny_and_off(self) -> None:
        self.policy(defaults={"security": "deny"})
        await self.start_host()
        await self.denied({"command": ["echo"]}, "SYSTEM_RUN_DISABLED: security=deny")
        self.policy(defaults={"ask": "off"})
        await self.denied({"command": ["echo"]}, "SYSTEM_RUN_DENIED: allowlist miss")
        self.assertEqual(self.gateway.requests("node.approval.request"), [])

    async def test_what_is_listed_runs_and_is_noted(self) -> None:
        self.policy(agents={"main": {"allowlist": [{"pattern": ECHO}]}})
        await self.start_host()
        await self.payload(RUN, {"command": ["echo", "hi"]})
        (entry,) = (await self.payload("system.execApprovals.get"))["file"]["agents"]["main"][
            "allowlist"
        ]
        self.assertEqual(entry["lastResolvedPath"], ECHO)
        self.assertEqual(entry["lastUsedCommand"], "echo hi")
        self.assertGreater(entry["lastUsedAt"], 0)

    async def test_lists_are_of_one_agent(self) -> None:
        self.policy(agents={"main": {"allowlist": [{"pattern": ECHO}]}})
        await self.start_host()
        await self.denied(
            {"command": ["echo"], "agentId": "other"}, "SYSTEM_RUN_DENIED: approval required"
        )

    async def test_what_the_caller_calls_it_does_not_count(self) -> None:
        self.policy(agents={"main": {"allowlist": [{"pattern": ECHO}]}})
        await self.start_host()
        own = script(self.directory / "echo", "#!/bin/sh\necho stolen\n")
        missed = "SYSTEM_RUN_DENIED: approval required"
        await self.denied({"command": [own], "rawCommand": "echo"}, missed)
        await self.denied({"command": ["sh", "-c", "rm x"], "rawCommand": "echo"}, missed)
        path = f"{self.directory}:{os.environ['PATH']}"
        await self.denied({"command": ["echo"], "env": {"PATH": path}}, missed)
        await self.denied({"command": ["echo"], "env": {"GIT_SSH_COMMAND": "x"}}, missed)
        result = await self.payload(RUN, {"command": ["echo", "ok"], "env": {"LANG": "C"}})
        self.assertEqual(result["stdout"], "ok\n")

    async def test_a_listed_program_has_its_usual_path(self) -> None:
        """It may start others by name, such as git does with ssh."""
        self.policy(agents={"main": {"allowlist": [{"pattern": ECHO}]}})
        await self.start_host()
        usual = os.environ["PATH"]
        path = f"{self.directory}:{usual}"
        await self.denied(
            {"command": [ECHO], "env": {"PATH": path}}, "SYSTEM_RUN_DENIED: approval required"
        )
        await self.payload(RUN, {"command": [ECHO], "env": {"PATH": usual}})

    async def test_a_shell_line_needs_all_its_programs(self) -> None:
        self.policy(agents={"main": {"allowlist": [{"pattern": ECHO}]}})
        await self.start_host()
        result = await self.payload(RUN, {"command": ["/bin/sh", "-c", "echo a && echo b"]})
        self.assertEqual(result["stdout"], "a\nb\n")
        for line in ("echo a && id", "echo a > /tmp/x", "echo $(id)", "echo a; /bin/sh"):
            await self.denied(
                {"command": ["/bin/sh", "-c", line]}, "SYSTEM_RUN_DENIED: approval required"
            )

    async def test_programs_of_skills(self) -> None:
        self.policy(defaults={"autoAllowSkills": True, "ask": "off"})
        self.gateway.skills = ["echo"]
        await self.start_host()
        await self.payload(RUN, {"command": ["echo"]})
        own = script(self.directory / "echo", "#!/bin/sh\n")
        await self.denied({"command": [own]}, "SYSTEM_RUN_DENIED: allowlist miss")
        await self.denied({"command": ["id"]}, "SYSTEM_RUN_DENIED: allowlist miss")

    async def test_a_person_allows_once(self) -> None:
        self.gateway.decision = "allow-once"
        await self.start_host()
        params = {"command": ["echo", "a b"], "cwd": "/", "sessionKey": "s", "agentId": "main"}
        for _ in range(2):
            await self.payload(RUN, params, timeoutMs=60_000)
        first, second = self.gateway.requests("node.approval.request")
        self.assertEqual(
            {**first, "timeoutMs": 0},
            {
                "command": "echo 'a b'",
                "commandArgv": ["echo", "a b"],
                "cwd": "/",
                "security": "allowlist",
                "ask": "on-miss",
                "agentId": "main",
                "resolvedPath": ECHO,
                "sessionKey": "s",
                "timeoutMs": 0,
            },
        )
        self.assertGreater(second["timeoutMs"], 30_000)
        self.assertLess(second["timeoutMs"], 60_000)

    async def test_a_person_allows_for_ever(self) -> None:
        self.gateway.decision = "allow-always"
        await self.start_host()
        await self.payload(RUN, {"command": ["/bin/sh", "-c", "echo a && ls /"]})
        self.gateway.decision = "deny"
        await self.payload(RUN, {"command": ["echo"]})
        await self.payload(RUN, {"command": ["ls", "/"]})
        await self.denied({"command": ["/bin/sh"]}, "SYSTEM_RUN_DENIED: user denied")
        self.assertEqual(len(self.gateway.requests("node.approval.request")), 2)

    async def test_who_decides_is_told_of_the_environment(self) -> None:
        """By name: with one variable more, a harmless command may be another."""
        self.gateway.decision = "allow-once"
        await self.start_host()
        await self.payload(RUN, {"command": ["echo"], "env": {"GIT_DIR": "secret", "A": "1"}})
        (asked,) = self.gateway.requests("node.approval.request")
        self.assertEqual(asked["envKeys"], ["A", "GIT_DIR"])
        self.assertNotIn("secret", json.dumps(asked))

    async def test_always_is_offered_only_where_it_can_be_kept(self) -> None:
        """And what is always allowed is never a program that runs whatever it is told."""
        self.gateway.decision = "allow-always"
        await self.start_host()
        runs: tuple[dict[str, Any], ...] = (
            {"command": ["env", "echo", "a"]},
            {"command": ["sh", "-ec", "echo a"]},
            {"command": ["sh", "-c", "echo $HOME"]},
            {"command": ["echo"], "env": {"GIT_DIR": "x"}},
        )
        for run in runs:
            await self.payload(RUN, run)
            asked = self.gateway.requests("node.approval.request")[-1]
            self.assertEqual(asked.get("unavailableDecisions"), ["allow-always"], run)
        self.assertEqual((await self.payload("system.execApprovals.get"))["file"]["agents"], {})
        await self.payload(RUN, {"command": ["echo"]})
        asked = self.gateway.requests("node.approval.request")
        self.assertEqual(len(asked), len(runs) + 1)
        self.assertNotIn("unavailableDecisions", asked[-1])

    async def test_always_asks_for_what_is_listed_too(self) -> None:
        self.policy(defaults={"ask": "always"}, agents={"main": {"allowlist": [{"pattern": ECHO}]}})
        self.gateway.decision = "deny"
        await self.start_host()
        await self.denied({"command": ["echo"]}, "SYSTEM_RUN_DENIED: user denied")

    async def test_a_denial_that_nobody_made(self) -> None:
        denied = {"id": "a", "decision": "deny", "terminalReason": "timeout"}
        self.gateway.methods["node.approval.request"] = lambda connection, frame: connection.answer(
            frame, denied
        )
        await self.start_host()
        await self.denied({"command": ["echo"]}, "SYSTEM_RUN_DENIED: approval timed out")

    async def test_nobody_decides(self) -> None:
        self.gateway.decision = "later"
        await self.start_host()
        await self.gateway.ask(RUN, {"command": ["echo"]}, timeoutMs=300)
        self.gateway.methods["node.approval.request"] = lambda connection, frame: connection.answer(
            frame, {"id": "a", "decision": None}
        )
        self.policy(defaults={"askFallback": "full"})
        await self.denied({"command": ["echo"]}, "SYSTEM_RUN_DENIED: approval timed out")

    async def test_nobody_can_be_asked(self) -> None:
        self.policy(defaults={"askFallback": "full"})
        await self.start_host()
        await self.payload(RUN, {"command": ["echo"]})

    async def test_the_word_of_the_gateway(self) -> None:
        """`approved` counts where the Gateway lets nobody else write it: protocol 4 does."""
        approved = {"command": ["echo"], "approved": True, "approvalDecision": "allow-once"}
        for protocol, said, runs in ((4, None, True), (3, None, False), (4, False, False),
                                     (3, True, True)):  # fmt: skip
            with self.subTest(protocol=protocol, said=said):
                settings = NodeSettings(trust_gateway_approvals=said)
                host = await self.start_host(protocol=protocol, settings=settings)
                result = await self.gateway.ask(RUN, approved)
                self.assertEqual(result["ok"], runs)
                await host.stop()
                await self.eventually(lambda: not self.gateway.connections)

    async def test_the_word_of_the_gateway_does_not_beat_a_denial(self) -> None:
        self.policy(defaults={"security": "deny"})
        await self.start_host()
        await self.denied(
            {"command": ["echo"], "approved": True}, "SYSTEM_RUN_DISABLED: security=deny"
        )


class NotifyTests(HostTestCase):
    """`system.notify`."""

    async def test_it_is_shown(self) -> None:
        shown = self.directory / "shown"
        notifier = script(
            self.directory / "notify-send", f'#!/bin/sh\nprintf "%s\\n" "$@" > {shown}\n'
        )
        await self.start_host(machine=Machine(platform="linux", notifier=notifier))
        given = {"title": "--help", "body": "It's done", "priority": "timeSensitive"}
        self.assertEqual(await self.payload("system.notify", given), {"ok": True})
        self.assertEqual(
            shown.read_text().splitlines(),
            ["--urgency=critical", "--app-name=clawgw", "--", "--help", "It's done"],
        )
        error = await self.error("system.notify", {"title": " "})
        self.assertEqual(error["code"], "INVALID_REQUEST")

    async def test_it_cannot_be_shown(self) -> None:
        notifier = script(self.directory / "notify-send", "#!/bin/sh\nexit 1\n")
        await self.start_host(machine=Machine(platform="linux", notifier=notifier))
        error = await self.error("system.notify", {"body": "x"})
        self.assertEqual(error["code"], "UNAVAILABLE")

    async def test_a_machine_without(self) -> None:
        await self.start_host()
        self.assertEqual((await self.error("system.notify", {"body": "x"}))["code"], "UNAVAILABLE")

    def test_a_mac_is_told_by_arguments_not_by_script(self) -> None:
        argv = notification("/usr/bin/osascript", 'a" & b', "c", None)
        self.assertEqual(argv[-3:], ["--", 'a" & b', "c"])
        self.assertNotIn('a" & b', " ".join(argv[:-3]))
        self.assertEqual(Path(argv[0]).name, "osascript")
