"""From one message to what each call of the provider sends."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from clawgw.channels.adapter import Capabilities, SendRefused
from clawgw.channels.format import Format
from clawgw.channels.messages import Button, Outbound, OutMedia, Part, Poll
from clawgw.channels.split import split
from tests.channels.support import ToyAccount

LONG = " ".join(f"word{n}" for n in range(200))
PHOTO = OutMedia(path="/p.jpg", kind="image", mime_type="image/jpeg", name="p.jpg")
BUTTON = Button(text="Yes", data="y")


def parts(message: Outbound, settings: Any = None, **can: Any) -> tuple[Part, ...]:
    wanted: dict[str, Any] = {"format": Format.PLAIN, "text_limit": 300, **can}
    return split(message, Capabilities(**wanted), settings or ToyAccount(), lambda n: f"k{n}")


class Splitting(SynchronousTestCase):
    """Texts, files, polls."""

    def test_a_short_text_is_one_part(self) -> None:
        found = parts(Outbound(text="hi", reply_to="7", silent=True))
        self.assertEqual(found, (Part(key="k0", text="hi", plain="hi", reply_to="7", silent=True),))

    def test_a_long_one_is_cut_and_loses_nothing(self) -> None:
        found = parts(Outbound(text=LONG, reply_to="7"))
        self.assertGreater(len(found), 3)
        self.assertTrue(all(len(part.text) <= 300 for part in found))
        self.assertEqual(" ".join(part.text for part in found).split(), LONG.split())
        self.assertEqual([part.key for part in found], [f"k{n}" for n in range(len(found))])
        self.assertEqual([part.reply_to for part in found], ["7"] + [None] * (len(found) - 1))

    def test_every_part_may_quote(self) -> None:
        found = parts(Outbound(text=LONG, reply_to="7"), ToyAccount(reply_to_mode="all"))
        self.assertEqual({part.reply_to for part in found}, {"7"})

    def test_the_operator_may_want_shorter_ones(self) -> None:
        found = parts(Outbound(text=LONG), ToyAccount(text_chunk_limit=150))
        self.assertTrue(all(len(part.text) <= 150 for part in found))

    def test_the_draft_is_replaced_by_the_first_part(self) -> None:
        found = parts(Outbound(text=LONG, draft="d1"))
        self.assertEqual([part.edit for part in found], ["d1"] + [None] * (len(found) - 1))

    def test_buttons_go_with_the_last_part(self) -> None:
        message = Outbound(text=LONG, buttons=((BUTTON,),))
        found = parts(message, buttons=True)
        self.assertEqual([bool(part.buttons) for part in found][-2:], [False, True])
        self.assertFalse(any(part.buttons for part in parts(message)))

    def test_a_short_text_is_the_caption_of_the_first_file(self) -> None:
        message = Outbound(text="look", media=(PHOTO, PHOTO), reply_to="7")
        found = parts(message, caption_limit=200)
        self.assertEqual([(p.text, p.media, p.reply_to) for p in found],
                         [("look", PHOTO, "7"), ("", PHOTO, None)])  # fmt: skip

    def test_a_long_one_goes_first(self) -> None:
        found = parts(Outbound(text=LONG, media=(PHOTO,)), caption_limit=200)
        self.assertEqual([part.media for part in found][-2:], [None, PHOTO])

    def test_files_alone(self) -> None:
        self.assertEqual(len(parts(Outbound(media=(PHOTO, PHOTO)))), 2)

    def test_nothing_is_nothing(self) -> None:
        self.assertEqual(parts(Outbound(text="  \n ")), ())

    def test_what_the_provider_does_not_have_is_refused(self) -> None:
        poll = Poll(question="?", options=("a", "b"))
        with self.assertRaisesRegex(SendRefused, "no polls"):
            parts(Outbound(poll=poll))
        self.assertEqual(parts(Outbound(poll=poll), polls=True)[0].poll, poll)
        with self.assertRaisesRegex(SendRefused, "no files"):
            parts(Outbound(media=(PHOTO,)), media=False)
