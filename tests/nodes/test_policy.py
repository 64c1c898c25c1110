"""What a node may be asked, as a table."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from clawgw.nodes.policy import PRIVATE, Claims, CommandPolicy, platform_of, scopes_to_approve
from clawgw.trust.scopes import ADMIN, PAIRING, WRITE

EVERYTHING = (
    "system.run", "system.which", "system.notify", "camera.list", "camera.snap", "screen.record",
    "location.get", "canvas.present", "sms.send", "made.up",
)  # fmt: skip


def claims(platform: str, version: int = 4, family: str = "", *commands: str) -> Claims:
    return Claims(version, platform, family, (), commands or EVERYTHING)


class PlatformTests(SynchronousTestCase):
    """Which table a platform gets."""

    def test_by_what_nodes_call_themselves(self) -> None:
        for platform, family, expected in [
            ("linux", "Linux", "linux"),
            ("Linux", "", "linux"),
            ("darwin", "Mac", "macos"),
            ("macOS 15.1", "Mac", "macos"),
            ("win32", "Windows", "windows"),
            ("iOS 18.4.0", "iPhone", "ios"),
            ("iPadOS 18", "iPad", "ios"),
            ("watchOS 11", "Apple Watch", "watchos"),
            ("Android 15", "Android", "android"),
            ("", "iPhone", "ios"),
            ("", "", "unknown"),
            ("plan9", "Linux", "unknown"),
        ]:
            self.assertEqual(platform_of(platform, family), expected, (platform, family))

    def test_a_platform_its_family_contradicts_is_not_believed(self) -> None:
        self.assertEqual(platform_of("macos", "Linux"), "unknown")
        self.assertEqual(platform_of("linux", "iPhone"), "unknown")


class CommandTests(SynchronousTestCase):
    """declared ∩ (platform + allowed) - denied, ∩ approved."""

    def effective(self, claimed: Claims, **policy: set[str]) -> set[str]:
        made = CommandPolicy(**{name: frozenset(value) for name, value in policy.items()})
        return set(made.effective(claimed))

    def test_defaults(self) -> None:
        host = {"system.run", "system.which", "system.notify"}
        phone = {"camera.list", "camera.snap", "screen.record", "location.get", "canvas.present"}
        harmless = {"camera.list", "location.get", "system.notify"}
        for platform, version, expected in [
            ("linux", 3, host),
            ("linux", 4, host),
            ("windows", 3, host),
            ("ios", 3, phone),
            ("android", 3, phone | {"sms.send"}),
            ("macos", 3, phone | host),
            ("ios", 4, harmless | {"canvas.present"}),
            ("android", 4, harmless | {"canvas.present"}),
            ("macos", 4, harmless | host | {"canvas.present"}),
            ("watchos", 4, {"system.notify"}),
            ("made up", 3, harmless),
            ("made up", 4, harmless),
        ]:
            found = self.effective(claims(platform, version))
            self.assertEqual(found, expected, (platform, version))

    def test_only_what_is_declared(self) -> None:
        self.assertEqual(self.effective(claims("linux", 4, "", "system.which")), {"system.which"})

    def test_allow_adds_and_deny_wins(self) -> None:
        found = self.effective(
            claims("linux"), allow={"camera.snap", "made.up", "sms.send"}, deny={"sms.send"}
        )
        self.assertEqual(
            found, {"system.run", "system.which", "system.notify", "camera.snap", "made.up"}
        )
        denied = self.effective(claims("linux"), deny={"system.run"})
        self.assertNotIn("system.run", denied)

    def test_private_commands_need_to_be_allowed_by_name(self) -> None:
        for platform in ("ios", "android", "macos", "windows", "linux", "unknown"):
            claimed = claims(platform, 4, "", *PRIVATE)
            self.assertEqual(self.effective(claimed), set(), platform)
            self.assertEqual(self.effective(claimed, allow=set(PRIVATE)), set(PRIVATE), platform)

    def test_a_talking_node_can_be_talked_to(self) -> None:
        claimed = Claims(4, "made up", "", ("talk",), ("talk.ptt.start",))
        self.assertEqual(self.effective(claimed), {"talk.ptt.start"})
        silent = Claims(4, "linux", "", (), ("ptt",))
        self.assertEqual(self.effective(silent), set())

    def test_approval_takes_away_and_never_adds(self) -> None:
        policy = CommandPolicy()
        claimed = claims("linux")
        self.assertEqual(policy.effective(claimed, ("system.which", "camera.snap", "none")),
                         ("system.which",))  # fmt: skip
        self.assertEqual(policy.effective(claimed, ()), ())


class RefusalTests(SynchronousTestCase):
    """Why a command may not be asked for, in the recorded reasons."""

    def refusal(
        self, command: str, claimed: Claims, approved: tuple[str, ...] | None = None
    ) -> tuple[str | None, str]:
        policy = CommandPolicy(deny=frozenset({"system.notify"}))
        reason = policy.refusal(command, claimed, approved)
        return reason, "" if reason is None else policy.words(reason, command, claimed)

    def test_reasons_and_what_to_change(self) -> None:
        linux = claims("linux", 4, "", "system.which")
        for command, approved, reason, hint in [
            ("system.which", None, None, ""),
            ("system.run", None, "command not declared by node", 'has no command "system.run"'),
            ("camera.snap", None, "command not allowlisted", "gateway.nodes.allowCommands"),
            ("system.notify", None, "command not allowlisted", "gateway.nodes.denyCommands"),
            ("made.up", None, "command not allowlisted", 'on platform "linux"'),
            ("system.which", (), "node did not declare commands", "clawgw nodes pending"),
        ]:
            found, words = self.refusal(command, linux, approved)
            self.assertEqual(found, reason, command)
            self.assertIn(hint, words)


class ApprovalScopeTests(SynchronousTestCase):
    """Which operators may approve what."""

    def test_by_what_the_commands_can_do(self) -> None:
        for commands, expected in [
            ([], [PAIRING]),
            (["camera.list"], [PAIRING, WRITE]),
            (["camera.list", "system.run"], [PAIRING, ADMIN]),
            (["system.execApprovals.set"], [PAIRING, ADMIN]),
        ]:
            self.assertEqual(scopes_to_approve(commands), expected, commands)
