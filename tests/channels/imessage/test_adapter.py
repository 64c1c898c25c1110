"""The iMessage adapter against the fake of `imsg rpc`."""

from __future__ import annotations

import contextlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from clawgw.channels.adapter import Fatal, Fault, SendLater, SendRefused, SendUnknown
from clawgw.channels.imessage import adapter as module
from clawgw.channels.imessage import files
from clawgw.channels.imessage.adapter import IMessageAdapter
from clawgw.channels.imessage.settings import IMessageAccount
from clawgw.channels.messages import Media, OutMedia, Target
from clawgw.channels.settings import GroupSettings
from tests.channels.fake_host import FakeHost, Running
from tests.channels.imessage.fake import FakeMessages, attachment, internal, invalid
from tests.channels.rpc_cases import RpcAdapterCase

SSH = """#!/bin/sh
# Stands in for ssh: the last word is what runs on the other machine, with a home of its own there.
for word in "$@"; do last=$word; done
cd {home} && HOME={home} exec sh -c "$last"
"""


class IMessageCase(RpcAdapterCase):
    """A Mac with Alice and a group."""

    fake: FakeMessages

    async def setUp(self) -> None:  # type: ignore[override]
        super().setUp()
        self.patch(module, "SETTLE_SECONDS", 0.2)
        await self.start_fake(FakeMessages(self.reactor))
        self.alice = self.fake.direct("+15552222222", "Alice")
        self.group = self.fake.group("Friends", "+15552222222", "bob@example.com")

    def adapter(self, host: FakeHost | None = None, **settings: Any) -> IMessageAdapter:
        settings.setdefault("command", tuple(self.fake.command))
        return IMessageAdapter("default", IMessageAccount(**settings), host or self.host())

    def to(self, chat: Any) -> Target:
        return self.target(str(getattr(chat, "id", chat)), "imessage")


class Receiving(IMessageCase):
    """From Messages to the host."""

    async def test_a_direct_message_and_one_of_a_group(self) -> None:
        _, host = await self.connected()
        first = self.fake.write(self.alice, "hello")
        self.fake.write(self.group, "hi all", sender="bob@example.com")
        await host.until(lambda: len(host.messages) == 2)
        direct, grouped = host.messages
        self.assertEqual((direct.message_id, direct.text), (first.guid, "hello"))
        self.assertEqual((direct.chat.kind, direct.chat.id), ("direct", "1"))
        self.assertEqual(direct.sender.id, "+15552222222")
        self.assertEqual(direct.sent_at, int(first.at.timestamp() * 1000))
        self.assertEqual((grouped.chat.kind, grouped.chat.id), ("group", "2"))
        self.assertEqual((grouped.chat.title, grouped.sender.id), ("Friends", "bob@example.com"))

    async def test_the_first_time_what_is_old_stays_old(self) -> None:
        self.fake.write(self.alice, "long ago")
        adapter = self.adapter()
        host: Any = adapter.host
        running = await self.start(adapter)
        await running.stop()
        self.fake.write(self.alice, "while nothing ran")
        await self.start(adapter)
        await host.until(lambda: bool(host.messages))
        self.assertEqual(host.texts, ["while nothing ran"])

    async def test_what_icloud_brings_later_stays_old(self) -> None:
        """A new Mac gets its old messages in any order, under new numbers."""
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)
        self.fake.write(self.alice, "yesterday")
        self.fake.write(self.alice, "in 2020", at=long_ago)
        adapter = self.adapter()
        host: Any = adapter.host
        running = await self.start(adapter)
        self.fake.write(self.alice, "in 2020, too", at=long_ago)
        await running.stop()
        self.fake.write(self.group, "also in 2020", at=long_ago)
        await self.start(adapter)
        self.fake.write(self.alice, "today")
        await host.until(lambda: "today" in host.texts)
        self.assertEqual(host.texts, ["today"])

    async def test_the_very_first_message_comes_while_nothing_runs(self) -> None:
        adapter = self.adapter()
        host: Any = adapter.host
        running = await self.start(adapter)
        await running.stop()
        self.fake.write(self.alice, "the first of this Mac")
        await self.start(adapter)
        await host.until(lambda: bool(host.messages))
        self.assertEqual(host.texts, ["the first of this Mac"])

    async def test_it_goes_on_after_the_last_stored_row(self) -> None:
        adapter = self.adapter()
        host: Any = adapter.host
        for life in range(4):
            running = await self.start(adapter)
            for number in range(100):
                self.fake.write(self.alice, f"{life}.{number}")
            if life < 3:
                self.fake.cut()
                problem = await running.ended()
                self.assertIsInstance(problem, Fault)
                self.assertIn("imsg: it ended with exit code 137", str(problem))
        await host.until(lambda: len(host.messages) == 400)
        wanted = [f"{life}.{number}" for life in range(4) for number in range(100)]
        self.assertEqual(host.texts, wanted)
        self.assertEqual(self.values["rowid"], "400")

    async def test_what_could_not_be_stored_comes_again(self) -> None:
        await self.check_a_full_disk(lambda text: self.fake.write(self.alice, text))

    async def test_our_own_messages_are_not_answered(self) -> None:
        adapter, host = await self.connected()
        guid = await adapter.send(self.to(self.alice), self.part(1, "a question"))
        self.fake.write(self.alice, "from my phone", mine=True)
        self.fake.write(self.alice, "an answer", reply_to_guid=guid, reply_to_text="a question")
        await host.until(lambda: bool(host.messages))
        (message,) = host.messages
        self.assertEqual((message.text, message.mentioned), ("an answer", True))
        self.assertEqual((message.quoted.message_id, message.quoted.text), (guid, "a question"))
        self.assertEqual(self.values["rowid"], "3")

    async def test_a_reply_to_what_was_sent_before_a_restart(self) -> None:
        adapter = self.adapter()
        before: Any = adapter.host
        running = await self.start(adapter)
        guid = await adapter.send(self.to(self.group), self.part(1, "a question"))
        await before.until(lambda: self.values["rowid"] == "1")
        await running.stop()
        _, host = await self.connected()
        self.fake.write(self.group, "an answer", reply_to_guid=guid)
        await host.until(lambda: bool(host.messages))
        self.assertEqual(host.messages[0].mentioned, True)

    async def test_what_is_no_text(self) -> None:
        _, host = await self.connected(reaction_notifications="all")
        mine = self.fake.write(self.alice, "mine", mine=True)
        like = {"is_reaction": True, "is_reaction_add": True, "reaction_type": "like"}
        self.fake.write(self.alice, "", **like, reacted_to_guid=mine.guid)
        odd = {**like, "reaction_type": "custom", "reaction_emoji": "🦀"}
        self.fake.write(self.alice, "", **odd, reacted_to_guid="another")
        self.fake.write(self.alice, "", **{**like, "is_reaction_add": False})
        self.fake.write(self.group, "")
        await host.until(lambda: len(host.messages) == 4)
        self.assertEqual({message.kind for message in host.messages}, {"notice"})
        self.assertEqual(
            host.texts[:3],
            [
                "[liked your message]",
                "[reacted 🦀 to a message]",
                "[took back the reaction to a message]",
            ],
        )
        self.assertIn("no text", host.texts[3])

    async def test_only_reactions_to_us_unless_told_otherwise(self) -> None:
        _, host = await self.connected()
        like = {"is_reaction": True, "is_reaction_add": True, "reaction_type": "love"}
        self.fake.write(self.alice, "", **like, reacted_to_guid="another")
        self.fake.write(self.alice, "end")
        await host.until(lambda: bool(host.messages))
        self.assertEqual(host.texts, ["end"])

    async def test_a_chat_that_is_to_be_taken_as_a_group(self) -> None:
        _, host = await self.connected(groups={"1": GroupSettings()})
        self.fake.write(self.alice, "hi")
        await host.until(lambda: bool(host.messages))
        self.assertEqual(host.messages[0].chat.kind, "group")

    async def test_nonsense_is_stepped_over(self) -> None:
        _, host = await self.connected()
        self.fake.say_to_all(
            'imsg 0.9\n{"method": "message"}\n{"method": "message", "params": 1}\n'
        )
        self.fake.say_to_all('{"method": "message", "params": {"message": {"id": "x"}}}\n')
        self.fake.say_to_all('{"method": "news", "params": {}}\n')
        self.fake.write(self.alice, "x" * 2_000_000)
        self.fake.write(self.alice, "still there", unheard_of={"a": [1]})
        await host.until(lambda: len(host.messages) == 2)
        self.assertEqual(host.texts[1], "still there")

    async def test_one_that_cannot_be_read_is_a_note(self) -> None:
        _, host = await self.connected()
        row = {"id": 7, "chat_id": 1, "guid": "G", "sender": "+15552222222", "text": {"new": 1}}
        self.fake.say_to_all(
            json.dumps({"method": "message", "params": {"message": row}})
            + "\n"
            + json.dumps({"method": "message", "params": {"message": {**row, "is_from_me": True}}})
            + "\n"
        )
        self.fake.write(self.alice, "still there")
        await host.until(lambda: len(host.messages) == 2)
        note = host.messages[0]
        self.assertEqual((note.message_id, note.kind), ("G", "notice"))
        self.assertEqual(note.text, "[a message that cannot be read here]")
        self.assertEqual((note.chat.id, note.sender.id), ("1", "+15552222222"))

    async def test_many(self) -> None:
        _, host = await self.connected()
        for number in range(3000):
            self.fake.write(self.alice, f"m{number}")
        await host.until(lambda: len(host.messages) == 3000)
        self.assertEqual(host.again, [])


class Beginning(IMessageCase):
    """What keeps it from starting."""

    async def test_the_program_is_not_there(self) -> None:
        problem = await Running(self.adapter(command=None, cli_path="no-such-program")).ended()
        self.assertIsInstance(problem, Fatal)
        self.assertIn("install imsg", str(problem))

    async def test_the_program_is_not_there_on_the_other_machine(self) -> None:
        words = ("sh", "-c", "no-such-program-here rpc")
        problem = await Running(self.adapter(command=words)).ended()
        self.assertIn("not found where its command runs: install it there", str(problem))
        problem = await self.fails(self.adapter(command=words).check(), Fault)
        self.assertIn("install it there", str(problem))

    async def test_the_database_may_not_be_read(self) -> None:
        self.fake.denied = "Permission Error: ... requires Full Disk Access permission."
        problem = await Running(self.adapter()).ended()
        self.assertIsInstance(problem, Fatal)
        self.assertIn("Full Disk Access", str(problem))

    async def test_something_else_is_wrong(self) -> None:
        self.fake.denied = "database is locked"
        problem = await Running(self.adapter()).ended()
        self.assertNotIsInstance(problem, Fatal)
        self.assertEqual(str(problem), "imsg: Internal error: database is locked")

    async def test_it_does_not_start_in_time(self) -> None:
        self.fake.fault("chats.list", "silence")
        problem = await Running(self.adapter(startup_timeout_ms=1000)).ended()
        self.assertEqual(str(problem), "imsg did not start within 1 s")

    async def test_watching_ends(self) -> None:
        running = await self.start(self.adapter())
        self.fake.break_watch("disk I/O error")
        problem = await running.ended()
        self.assertEqual(str(problem), "imsg: it cannot watch any more: disk I/O error")

    async def test_checking_before_it_is_configured(self) -> None:
        self.fake.write(self.alice, "hi")
        self.assertEqual(await self.adapter().check(), {"chats": 1})
        self.fake.denied = "Full Disk Access"
        await self.fails(self.adapter().check(), Fatal)
        self.fake.fault("chats.list", "die")
        await self.fails(self.adapter().check(), Fault)

    async def test_the_words_that_start_it(self) -> None:
        self.assertEqual(IMessageAccount().words, ("imsg", "rpc"))
        remote = IMessageAccount(command=("ssh", "-T", "mac", "imsg"), db_path="/x/chat.db")
        self.assertEqual(remote.words, ("ssh", "-T", "mac", "imsg", "rpc", "--db", "/x/chat.db"))


class Sending(IMessageCase):
    """From the outbox to Messages."""

    async def test_to_chats_and_handles(self) -> None:
        adapter, _ = await self.connected()
        table = (
            ("1", {"chat_id": 1}),
            (f"chat_guid:{self.group.guid}", {"chat_guid": self.group.guid}),
            ("+15552222222", {"to": "+15552222222", "service": "auto", "region": "US"}),
            ("sms:+15552222222", {"to": "+15552222222", "service": "sms", "region": "US"}),
            ("new@example.com", {"to": "new@example.com", "service": "auto", "region": "US"}),
        )
        for number, (chat, params) in enumerate(table):
            made = await adapter.send(self.to(chat), self.part(number, f"m{number}"))
            self.assertEqual(made, self.fake.sent[-1].guid)
            self.assertEqual(self.fake.called("send")[-1], {**params, "text": f"m{number}"})

    async def test_an_answer_without_an_id(self) -> None:
        self.fake.silent_ids = True
        adapter, _ = await self.connected()
        self.assertTrue(await adapter.send(self.to(self.alice), self.part(1, "x")))

    async def test_files(self) -> None:
        adapter, _ = await self.connected()
        path = self.directory / "0001"
        path.write_bytes(b"data")
        media = OutMedia(path=str(path), kind="file", mime_type="text/plain", name="my notes.txt")
        await adapter.send(self.to(self.alice), self.part(1, "see", media=media))
        (row,) = self.fake.sent
        self.assertEqual(row.attachments[0]["transfer_name"], "my notes.txt")
        self.assertEqual(row.attachments[0]["total_bytes"], 4)
        self.assertEqual([p.name for p in self.directory.iterdir()], ["0001"])
        path.unlink()
        refused = adapter.send(self.to(self.alice), self.part(2, media=media))
        await self.fails(refused, SendRefused)

    async def test_refusals(self) -> None:
        adapter, _ = await self.connected()
        self.fake.fault("send", "refuse", error=invalid("invalid service"))
        problem = await self.fails(
            adapter.send(self.to(self.alice), self.part(1, "x")), SendRefused
        )
        self.assertEqual(str(problem), "imsg: Invalid params: invalid service")
        self.fake.fault("send", "refuse", error=internal("AppleScript failed"))
        await self.fails(adapter.send(self.to(self.alice), self.part(2, "x")), SendUnknown)
        self.fake.fault("messages.history", "refuse", error=internal("locked"))
        await self.fails(adapter.send(self.to(self.alice), self.part(3, "x")), SendLater)
        self.assertEqual(self.fake.sent, [])

    async def test_nothing_runs(self) -> None:
        adapter = self.adapter()
        await self.fails(adapter.send(self.to(self.alice), self.part(1, "x")), SendLater)
        await self.fails(adapter.find(self.to(self.alice), self.part(1, "x")), SendLater)
        await self.fails(adapter.probe(), Fault)

    async def test_probing(self) -> None:
        for chat in (self.alice, self.group):
            self.fake.write(chat, "hi")
        adapter, _ = await self.connected()
        self.assertEqual(await adapter.probe(), {"chats": 2, "rowid": 2})


class Unknowns(IMessageCase):
    """Was it sent?"""

    async def found(self, adapter: IMessageAdapter, chat: Any, part: Any) -> str | None:
        """`find`, as often as it takes."""
        while True:
            try:
                return await adapter.find(self.to(chat), part)
            except SendLater as problem:
                pause: Deferred[None] = Deferred()
                self.reactor.callLater(problem.retry_after or 0.1, pause.callback, None)
                await pause

    async def test_after_the_child_was_killed(self) -> None:
        adapter = self.adapter()
        running = await self.start(adapter)
        await adapter.send(self.to(self.alice), self.part(0, "the same words"))
        for number, kind in enumerate(("act-and-die", "die"), 1):
            self.fake.fault("send", kind)
            part = self.part(number, "the same words")
            await self.fails(adapter.send(self.to(self.alice), part), SendUnknown)
            await self.fails(adapter.find(self.to(self.alice), part), SendLater)
            await running.ended()
            adapter = self.adapter()  # as after a kill of the Gateway, too
            running = await self.start(adapter)
        sent = await self.found(adapter, self.alice, self.part(1, "the same words"))
        self.assertEqual(sent, self.fake.sent[1].guid)
        self.assertIsNone(await self.found(adapter, self.alice, part))
        self.assertIsNone(await self.found(adapter, self.alice, self.part(9, "never tried")))
        self.assertEqual(len(self.fake.sent), 2)

    async def test_the_gateway_was_killed_before_the_outbox_heard_of_it(self) -> None:
        adapter = self.adapter()
        running = await self.start(adapter)
        guid = await adapter.send(self.to(self.alice), self.part(1, "x"))
        await running.stop()
        again = self.adapter()
        await self.start(again)
        self.assertEqual(await again.find(self.to(self.alice), self.part(1, "x")), guid)

    async def test_older_words_of_a_chat_that_was_not_listed_are_not_these(self) -> None:
        self.patch(module, "LOOKED_THROUGH", 2)
        adapter = self.adapter()
        running = await self.start(adapter)
        host: Any = adapter.host
        self.fake.write(self.alice, "hello", mine=True)
        for chat in (self.group, self.fake.direct("carol@example.com")):
            self.fake.write(chat, "this chat is newer")
        await host.until(lambda: len(host.messages) == 2)
        self.fake.fault("send", "die")
        part = self.part(1, "hello")
        await self.fails(adapter.send(self.to("+15552222222"), part), SendUnknown)
        await running.ended()
        self.fake.write(self.alice, "are you there?")
        await self.start(adapter)
        self.assertIsNone(await self.found(adapter, "+15552222222", part))

    async def test_to_a_number_as_it_is_dialled(self) -> None:
        """Messages calls the chat by the whole number."""
        adapter = self.adapter(region="DE")
        running = await self.start(adapter)
        self.fake.direct("+491711234567")
        self.fake.fault("send", "act-and-die")
        part = self.part(1, "hello")
        await self.fails(adapter.send(self.to("tel:01711234567"), part), SendUnknown)
        await running.ended()
        await self.start(adapter)
        found = await self.found(adapter, "tel:01711234567", part)
        self.assertEqual(found, self.fake.sent[0].guid)

    async def test_to_somebody_who_had_no_chat(self) -> None:
        adapter = self.adapter()
        running = await self.start(adapter)
        for handle, kind in (("+15557777777", "act-and-die"), ("+15558888888", "die")):
            self.fake.fault("send", kind)
            part = self.part(handle, "hello")
            await self.fails(adapter.send(self.to(handle), part), SendUnknown)
            await running.ended()
            running = await self.start(adapter)
            found = await self.found(adapter, handle, part)
            self.assertEqual(found is not None, kind == "act-and-die")

    async def test_the_answer_comes_late(self) -> None:
        self.patch(module, "SEND_SECONDS", 0.2)
        adapter, _ = await self.connected()
        self.fake.fault("send", "hold")
        part = self.part(1, "x")
        await self.fails(adapter.send(self.to(self.alice), part), SendUnknown)
        await self.fails(adapter.send(self.to(self.alice), part), SendLater)
        await self.fake.until(lambda: len(self.fake.sent) == 1)
        self.fake.release()
        self.assertEqual(await self.found(adapter, self.alice, part), self.fake.sent[0].guid)

    async def test_an_answer_that_never_comes_ends_the_child(self) -> None:
        self.patch(module, "SEND_SECONDS", 0.1)
        self.patch(module, "HUNG_SECONDS", 0.1)
        adapter = self.adapter()
        running = await self.start(adapter)
        self.fake.fault("send", "silence")
        part = self.part(1, "x")
        await self.fails(adapter.send(self.to(self.alice), part), SendUnknown)
        finding = Deferred.fromCoroutine(self.found(adapter, self.alice, part))
        self.assertIsInstance(await running.ended(), Fault)
        await self.start(adapter)
        self.assertEqual(await finding, self.fake.sent[0].guid)

    async def test_a_file(self) -> None:
        self.assertEqual(await self.shown_name("cat.png"), "cat.png")

    async def test_a_file_whose_name_had_to_be_changed(self) -> None:
        self.assertEqual(await self.shown_name(".a/b.txt"), "a_b.txt")

    async def test_a_file_whose_name_is_too_long_for_a_file_system(self) -> None:
        shown = await self.shown_name("猫" * 120 + ".png")
        self.assertTrue(shown.endswith("猫猫.png"))

    async def shown_name(self, name: str) -> str:
        """Send a file whose outcome is unknown at first, and find it; the name people see."""
        adapter = self.adapter()
        running = await self.start(adapter)
        path = self.directory / "0001"
        path.write_bytes(b"data")
        media = OutMedia(path=str(path), kind="file", mime_type="text/plain", name=name)
        part = self.part(1, media=media)
        self.fake.fault("send", "act-and-die")
        await self.fails(adapter.send(self.to(self.group), part), SendUnknown)
        await running.ended()
        await self.start(adapter)
        (sent,) = self.fake.sent
        self.assertEqual(await self.found(adapter, self.group, part), sent.guid)
        shown: str = sent.attachments[0]["transfer_name"]
        return shown


class Fetching(IMessageCase):
    """Files that came, from here and from another machine."""

    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.remote = self.directory / "the mac"
        (self.remote / "Library").mkdir(parents=True)
        ssh = self.directory / "bin" / "ssh"
        ssh.parent.mkdir()
        ssh.write_text(SSH.format(home=f"'{self.remote}'"))
        ssh.chmod(0o755)
        self.path = self.directory / "fetched"

    def far(self) -> IMessageAdapter:
        host = self.host()
        host.environ = {"PATH": f"{self.directory / 'bin'}:{os.environ['PATH']}"}
        return self.adapter(host, remote_host="me@mac.example")

    async def test_from_this_machine(self) -> None:
        source = self.directory / "cat.png"
        source.write_bytes(b"png" * 100)
        adapter, host = await self.connected()
        self.fake.write(self.alice, "\ufffclook", attachments=[attachment(source)])
        await host.until(lambda: bool(host.messages))
        (message,) = host.messages
        (media,) = message.media
        self.assertEqual((message.text, media.kind, media.name), ("look", "image", "cat.png"))
        fetched = await adapter.fetch(media, self.path, 1000)
        self.assertEqual((fetched.size, self.path.read_bytes()), (300, b"png" * 100))
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        await self.fails(adapter.fetch(media, self.path, 100), SendRefused)

    async def test_one_that_is_gone(self) -> None:
        adapter, host = await self.connected()
        self.fake.write(self.alice, "", attachments=[attachment(Path("/no/such.png"))])
        await host.until(lambda: bool(host.messages))
        (media,) = host.messages[0].media
        said = await self.fails(adapter.fetch(media, self.path, 1000), SendRefused)
        self.assertIn("no longer", str(said))

    async def test_files_are_not_wanted(self) -> None:
        _, host = await self.connected(include_attachments=False)
        self.fake.write(self.alice, "", attachments=[attachment(Path("/no/such.png"))])
        await host.until(lambda: bool(host.messages))
        self.assertEqual(host.messages[0].media, ())
        self.assertEqual(host.texts, ["[1 file(s), not taken in]"])

    async def test_from_another_machine(self) -> None:
        nasty = "it's $(touch x) cat.png"
        (self.remote / nasty).write_bytes(b"far" * 10)
        adapter = self.far()
        for path in (str(self.remote / nasty), f"~/{nasty}"):
            media = Media(kind="image", ref={"path": path})
            fetched = await adapter.fetch(media, self.path, 1000)
            self.assertEqual((fetched.size, self.path.read_bytes()), (30, b"far" * 10))
        self.assertFalse((self.remote / "x").exists())
        said = await self.fails(adapter.fetch(media, self.path, 10), SendRefused)
        self.assertIn("more than 10 bytes", str(said))
        gone = Media(kind="image", ref={"path": "~/gone"})
        await self.fails(adapter.fetch(gone, self.path, 10), SendRefused)
        (self.directory / "bin" / "ssh").write_text("#!/bin/sh\necho no route >&2; exit 255\n")
        said = await self.fails(adapter.fetch(media, self.path, 1000), SendLater)
        self.assertIn("no route", str(said))

    async def test_clearing_up_there_says_nothing_about_the_message(self) -> None:
        spawn = self.reactor.spawnProcess
        spawned: list[Any] = []

        def remember(*args: Any, **more: Any) -> Any:
            spawned.append(spawn(*args, **more))
            return spawned[-1]

        self.patch(self.reactor, "spawnProcess", remember)
        ssh = self.directory / "bin" / "ssh"
        hangs = 'case "$last" in rm*) exec sleep 600;; esac\ncd '
        ssh.write_text(ssh.read_text().replace("cd ", hangs, 1))
        adapter = self.far()
        await self.start(adapter)
        path = self.directory / "0001"
        path.write_bytes(b"out")
        media = OutMedia(path=str(path), kind="file", mime_type="text/plain", name="a.txt")
        # Only for what comes after it: the copy itself may take its time.
        sent = self.fake.until(lambda: bool(self.fake.sent))
        sent.addCallback(lambda _: self.patch(files, "COPY_SECONDS", 1.0))
        self.assertTrue(await adapter.send(self.to(self.alice), self.part(7, media=media)))
        self.assertEqual(len(self.fake.sent), 1)
        _, _, clearing = spawned  # after imsg and the copy
        while clearing.pid is not None:
            await self.pause()

    async def test_a_copy_that_nobody_waits_for_is_ended(self) -> None:
        pid = self.directory / "pid"
        (self.directory / "bin" / "ssh").write_text(f"#!/bin/sh\necho $$ > {pid}; exec sleep 600\n")
        media = Media(kind="image", ref={"path": "/far/cat.png"})
        fetching = Deferred.fromCoroutine(self.far().fetch(media, self.path, 1000))
        while not pid.exists() or not pid.read_text():
            await self.pause()
        fetching.cancel()
        await self.ended(int(pid.read_text()))
        self.failureResultOf(fetching, CancelledError)

    async def ended(self, pid: int) -> None:
        """Wait until there is no such process."""
        with contextlib.suppress(ProcessLookupError):
            while True:
                os.kill(pid, 0)
                await self.pause()

    async def pause(self) -> None:
        pause: Deferred[None] = Deferred()
        self.reactor.callLater(0.02, pause.callback, None)
        await pause

    async def test_a_file_that_is_gone_is_refused(self) -> None:
        adapter = self.far()
        await self.start(adapter)
        media = OutMedia(path="/no/such", kind="file", mime_type="text/plain", name="a.txt")
        await self.fails(adapter.send(self.to(self.alice), self.part(1, media=media)), SendRefused)

    async def test_to_another_machine(self) -> None:
        adapter = self.far()
        await self.start(adapter)
        path = self.directory / "0001"
        path.write_bytes(b"out")
        media = OutMedia(path=str(path), kind="file", mime_type="text/plain", name="a 'b' $c.txt")
        await adapter.send(self.to(self.alice), self.part(7, media=media))
        (row,) = self.fake.sent
        self.assertEqual(row.attachments[0]["transfer_name"], "a 'b' $c.txt")
        self.assertEqual(row.attachments[0]["total_bytes"], 3)
        self.assertIn(str(self.remote), row.attachments[0]["original_path"])
        self.assertEqual(list((self.remote / "clawgw-outgoing").iterdir()), [])
