"""What the stock command line sends with: `message.action`."""

from __future__ import annotations

from typing import Any

from tests.channels.conversation import OPEN, ConversationCase

SEND: dict[str, Any] = {
    # what `openclaw message send --channel toy --target 7 --message hello` of 2026.9.6 says
    "pin": False, "gifPlayback": False, "forceDocument": False, "silent": False, "json": False,
    "dryRun": False, "verbose": False, "channel": "toy", "target": "7", "message": "hello",
    "action": "send", "to": "toy:7", "__sessionKey": "agent:main:main", "__agentId": "main",
}  # fmt: skip
POLL: dict[str, Any] = {
    "json": False, "dryRun": False, "verbose": False, "pollOption": ["a", "b"], "pollMulti": False,
    "pollAnonymous": False, "pollPublic": False, "silent": False, "channel": "toy", "target": "7",
    "pollQuestion": "Lunch", "action": "poll", "to": "toy:7",
}  # fmt: skip


class Actions(ConversationCase):
    """Sending and polls; nothing else."""

    settings = {"default": OPEN, "work": OPEN}  # noqa: RUF012

    def fields(self, action: str, params: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
        return {
            "channel": "toy", "action": action, "params": params, "senderIsOwner": True,
            "agentId": "main", "conversationReadOrigin": "direct-operator", "idempotencyKey": "k1",
            **more,
        }  # fmt: skip

    def act(self, action: str, params: dict[str, Any], **more: Any) -> Any:
        return self.call("message.action", **self.fields(action, params, more))

    def problem(self, action: str, params: dict[str, Any], **more: Any) -> str:
        return str(self.refusal("message.action", **self.fields(action, params, more)))

    def test_a_message(self) -> None:
        sent = self.act("send", SEND)
        self.assertEqual((sent["ok"], sent["messageId"], sent["channel"]), (True, "m1", "toy"))
        self.assertEqual(self.sent, ["hello"])

    def test_again_with_the_same_key_it_is_the_same_message(self) -> None:
        self.assertEqual(self.act("send", SEND), self.act("send", SEND))
        self.assertEqual(len(self.sent), 1)

    def test_a_reply_in_a_thread_without_a_sound_from_another_account(self) -> None:
        params = {**SEND, "replyTo": "9", "threadId": 5, "silent": True, "accountId": "work"}
        self.act("send", params, reply={"replyToId": "9", "source": "explicit"})
        adapter: Any = self.account("work").adapter
        ((target, part),) = adapter.sent
        self.assertEqual((target.thread, part.reply_to, part.silent), ("5", "9", True))

    def test_a_poll(self) -> None:
        self.act("poll", {**POLL, "pollMulti": True, "pollDurationHours": "4", "pollPublic": True})
        ((_, part),) = self.adapter.sent
        poll = part.poll
        assert poll is not None
        self.assertEqual((poll.question, poll.options), ("Lunch", ("a", "b")))
        self.assertEqual((poll.max_selections, poll.hours, poll.anonymous), (2, 4, False))

    def test_what_cannot_be_done_is_said_and_nothing_is_sent(self) -> None:
        for action, params, more, says in (
            ("react", SEND, {}, "Channel toy does not support action react"),
            ("send", {**SEND, "pin": True}, {}, "params/pin"),
            ("send", {**SEND, "presentation": "{}"}, {}, "params/presentation"),
            ("send", {**SEND, "dryRun": True}, {}, "params/dryRun"),
            ("send", {**SEND, "to": "", "target": ""}, {}, "`to`"),
            ("send", {**SEND, "message": 3.5}, {}, "$.message"),
            ("send", {**SEND, "message": ""}, {}, "expected a text or a file"),
            ("send", {**SEND, "accountId": "a"}, {"accountId": "b"}, "does not match"),
            ("poll", {**POLL, "pollOption": ["a"]}, {}, "$.options"),
            ("poll", {**POLL, "pollDurationHours": "soon"}, {}, "$.durationHours"),
            ("send", SEND, {"channel": "myspace"}, "'myspace' is not configured"),
        ):
            self.assertIn(says, self.problem(action, params, **more))
        self.assertEqual(self.sent, [])
