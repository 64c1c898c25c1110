"""What `signal-cli` says was received, as messages."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from clawgw.channels.messages import Inbound
from clawgw.channels.signal.envelope import Own, Wanted, inbound, unreadable

ALICE = "11111111-1111-4111-8111-111111111111"
BOT = "99999999-9999-4999-8999-999999999999"
OWN = Own("+15550001111", BOT)


def envelope(**content: Any) -> dict[str, Any]:
    return {
        "account": OWN.number,
        "envelope": {
            "source": "+15552222222",
            "sourceNumber": "+15552222222",
            "sourceUuid": ALICE,
            "sourceName": "Alice",
            "sourceDevice": 1,
            "timestamp": 1000,
            **content,
        },
    }


def data(**fields: Any) -> dict[str, Any]:
    return envelope(dataMessage={"timestamp": 1000, "message": None, "viewOnce": False, **fields})


class Envelopes(SynchronousTestCase):
    """One kind of content after the other."""

    def read(self, params: dict[str, Any], **wanted: Any) -> Inbound | None:
        return inbound(params, OWN, Wanted(**wanted))

    def text(self, params: dict[str, Any], **wanted: Any) -> tuple[str, str]:
        message = self.read(params, **wanted)
        assert message is not None
        return message.kind, message.text

    def test_a_text(self) -> None:
        message = self.read(data(message="hello"))
        assert message is not None
        self.assertEqual(message.message_id, f"{ALICE}:1000")
        self.assertEqual(message.sender.names, ("+15552222222", f"uuid:{ALICE}"))
        self.assertEqual((message.chat.id, message.chat.title), (ALICE, "Alice"))
        self.assertEqual((message.text, message.kind, message.own), ("hello", "message", False))

    def test_somebody_who_hides_the_number(self) -> None:
        params = data(message="x")
        params["envelope"]["sourceNumber"] = None
        message = self.read(params)
        assert message is not None
        self.assertEqual(message.sender.names, (f"uuid:{ALICE}",))

    def test_somebody_of_old_who_has_a_number_only(self) -> None:
        params = data(message="x")
        params["envelope"]["sourceUuid"] = None
        message = self.read(params)
        assert message is not None
        self.assertEqual(message.chat.id, "+15552222222")

    def test_mentions_are_counted_in_utf_16(self) -> None:
        mentions = [
            {"name": "The bot", "number": OWN.number, "uuid": BOT, "start": 0, "length": 1},
            {"name": "Bob", "number": None, "uuid": "b", "start": 5, "length": 1},
        ]
        message = self.read(data(message="\ufffc 😀 \ufffc!", mentions=mentions))
        assert message is not None
        self.assertEqual((message.text, message.mentioned), ("😀 @Bob!", True))

    def test_a_mention_of_us_in_the_middle_stays(self) -> None:
        mentions = [{"name": "Botty", "uuid": BOT, "start": 4, "length": 1}]
        message = self.read(data(message="ask \ufffc please", mentions=mentions))
        assert message is not None
        self.assertEqual((message.text, message.mentioned), ("ask @Botty please", True))

    def test_mentions_that_lie_about_where_they_are(self) -> None:
        mentions = [{"name": "x", "start": s, "length": n} for s, n in ((-1, 1), (0, 99), (5, -2))]
        self.assertEqual(self.text(data(message="hello", mentions=mentions))[1], "hello")

    def test_a_reply_to_us_is_a_mention(self) -> None:
        quote = {"id": 900, "authorNumber": OWN.number, "authorUuid": BOT, "text": "what I said"}
        message = self.read(data(message="yes", quote=quote))
        assert message is not None
        assert message.quoted is not None
        self.assertEqual((message.quoted.message_id, message.mentioned), (f"{BOT}:900", True))
        self.assertEqual(message.quoted.text, "what I said")

    def test_an_edit(self) -> None:
        edit = {"targetSentTimestamp": 900, "dataMessage": {"timestamp": 1000, "message": "better"}}
        message = self.read(envelope(editMessage=edit))
        assert message is not None
        self.assertEqual((message.kind, message.text), ("edit", "better"))
        self.assertEqual(message.message_id, f"{ALICE}:900:edit:1000")
        self.assertEqual(message.reply_id, f"{ALICE}:900")

    def test_notes(self) -> None:
        poll = {"question": "Lunch?", "allowMultiple": False, "options": ["pizza", "pasta"]}
        contact = {"name": {"display": "Bob B."}, "phone": [{"value": "+1555", "type": "HOME"}]}
        group = {"groupId": "abc=", "groupName": "G", "revision": 1, "type": "UPDATE"}
        for params, expected in (
            (data(sticker={"packId": "ab", "stickerId": 1}), ("message", "[sticker]")),
            (data(pollCreate=poll), ("message", "[poll: Lunch? (pizza, pasta)]")),
            (data(contacts=[contact]), ("message", "[contact: Bob B., +1555]")),
            (data(payment={"note": "beer", "receipt": "AA=="}), ("message", "[payment: beer]")),
            (data(remoteDelete={"timestamp": 1}), ("notice", "[deleted one of their messages]")),
            (
                data(isExpirationUpdate=True),
                ("notice", "[changed how long messages are kept]"),
            ),
            (data(groupInfo=group), ("notice", "[changed the group]")),
            (
                data(hologram={"shape": "cat"}),
                ("notice", "[a message of a kind that is not known here: hologram]"),
            ),
            (
                envelope(callMessage={"offerMessage": {"id": 1}}),
                ("notice", "[a call, which cannot be answered here]"),
            ),
        ):
            self.assertEqual(self.text(params), expected)

    def test_a_note_goes_with_the_text(self) -> None:
        params = data(message="for you", contacts=[{"name": {"given": "Bob"}}])
        self.assertEqual(self.text(params), ("message", "for you\n[contact: Bob]"))

    def test_what_is_nobodys_message(self) -> None:
        for params in (
            data(),
            data(message=""),
            data(newField=True, anotherField=7),
            envelope(typingMessage={"action": "STARTED", "timestamp": 1}),
            envelope(receiptMessage={"isRead": True, "timestamps": [1]}),
            envelope(syncMessage={"readMessages": []}),
            envelope(callMessage={"iceUpdateMessages": []}),
            envelope(storyMessage={"allowsReplies": True}),
            {"envelope": {"timestamp": 1, "dataMessage": {"message": "from nobody"}}},
        ):
            self.assertIsNone(self.read(params), params)

    def test_stories_where_they_are_wanted(self) -> None:
        params = envelope(storyMessage={"allowsReplies": True})
        self.assertEqual(self.text(params, stories=True), ("notice", "[a story]"))

    def test_reactions(self) -> None:
        def reaction(author: str, **more: Any) -> dict[str, Any]:
            return data(reaction={"emoji": "👍", "targetAuthorUuid": author, **more})

        self.assertEqual(self.text(reaction(BOT)), ("notice", "[reacted 👍 to your message]"))
        self.assertIsNone(self.read(reaction("b")))
        self.assertIsNone(self.read(reaction(BOT), reactions="off"))
        everywhere = self.text(reaction("b", isRemove=True), reactions="all")
        self.assertEqual(everywhere[1], "[took back the reaction 👍 to a message]")
        listed = frozenset({"+15552222222"})
        chosen = {"reactions": "allowlist", "reaction_senders": listed}
        self.assertEqual(self.text(reaction("b"), **chosen)[1], "[reacted 👍 to a message]")
        self.assertIsNone(self.read(reaction("b"), reactions="allowlist"))

    def test_files(self) -> None:
        files = [
            {"contentType": "image/jpeg", "id": "a.jpg", "size": 10, "filename": None},
            {"contentType": "audio/aac", "id": "b.aac", "size": 10},
            {"contentType": None, "id": None, "size": None, "filename": "gone.pdf"},
        ]
        message = self.read(data(attachments=files))
        assert message is not None
        self.assertEqual([media.kind for media in message.media], ["image", "voice", "file"])
        self.assertEqual(message.media[0].ref, {"id": "a.jpg", "recipient": ALICE})
        self.assertEqual((message.media[2].ref, message.media[2].name), ({}, "gone.pdf"))
        self.assertIn("no longer", message.media[2].problem)
        without = self.text(data(attachments=files), attachments=False)
        self.assertEqual(without, ("message", "[3 file(s), not taken in]"))

    def test_what_could_not_be_deciphered(self) -> None:
        params = envelope()
        params["exception"] = {"type": "UntrustedIdentityException", "message": "secret"}
        self.assertEqual(
            self.text(params),
            ("notice", "[a message that could not be deciphered: UntrustedIdentityException]"),
        )
        params["exception"] = {"type": "ProtocolDuplicateMessageException", "message": ""}
        self.assertIsNone(self.read(params))

    def test_from_another_device_of_ours(self) -> None:
        sent = {"timestamp": 7, "message": "from my phone", "destinationUuid": ALICE}
        message = self.read(envelope(sourceUuid=BOT, syncMessage={"sentMessage": sent}))
        assert message is not None
        self.assertEqual((message.own, message.chat.id), (True, ALICE))
        edit = {"targetSentTimestamp": 7, "dataMessage": {"timestamp": 8, "message": "better"}}
        sent = {"destinationUuid": ALICE, "editMessage": edit}
        message = self.read(envelope(sourceUuid=BOT, syncMessage={"sentMessage": sent}))
        assert message is not None
        self.assertEqual((message.own, message.kind), (True, "edit"))

    def test_one_that_cannot_be_read_is_a_note(self) -> None:
        for content, chat in (
            ({"message": {"new": 1}}, ALICE),
            ({"message": "x", "mentions": 7}, ALICE),
            ({"message": "x", "mentions": 7, "groupInfo": {"groupId": "Zw=="}}, "Zw=="),
        ):
            params = data(**content)
            with self.assertRaises(ValueError):
                inbound(params, OWN, Wanted())
            note = unreadable(params)
            assert note is not None
            self.assertEqual((note.message_id, note.kind), (f"{ALICE}:1000", "notice"))
            self.assertEqual((note.chat.id, note.sender.id), (chat, ALICE))
            self.assertEqual(note.text, "[a message that cannot be read here]")
        for params in (
            {},
            {"envelope": 7},
            envelope(typingMessage=7),
            envelope(dataMessage=[]),
            data(groupInfo=7),
        ):
            self.assertIsNone(unreadable(params))

    def test_nonsense_says_what_is_wrong(self) -> None:
        for params in (
            {},
            {"envelope": 7},
            envelope(dataMessage="x"),
            data(message=5),
            data(groupInfo={"groupName": "no id"}),
            data(attachments=[3]),
        ):
            with self.assertRaises(ValueError) as caught:
                self.read(params)
            self.assertIn("cannot be read", str(caught.exception))

    @settings(max_examples=200)
    @given(
        st.dictionaries(
            st.sampled_from(
                [
                    *("message", "mentions", "quote", "attachments", "groupInfo", "reaction"),
                    *("sticker", "contacts", "payment", "pollCreate", "timestamp", "unheardOf"),
                ]
            ),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(
                        st.sampled_from(["start", "length", "id", "groupId", "name", "text"]),
                        inner,
                    )
                ),
                max_leaves=6,
            ),
        )
    )
    def test_whatever_it_says_nothing_breaks(self, fields: dict[str, Any]) -> None:
        try:
            message = self.read(data(**fields))
        except ValueError:
            return
        self.assertTrue(message is None or message.text or message.media)
