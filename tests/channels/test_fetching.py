"""Files that come with a message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from clawgw.channels import fetching
from clawgw.channels.adapter import SendLater, SendRefused
from clawgw.channels.messages import Inbound, Media
from tests.channels.conversation import ConversationCase
from tests.channels.support import BOB, direct, in_group

PICTURE = Media(kind="image", mime_type="image/png", name="cat.png", ref={"id": "1"})


class Files(ConversationCase):
    """Files that come with a message."""

    settings = {  # noqa: RUF012
        "default": {
            "dmPolicy": "allowlist", "allowFrom": ["1001"], "mediaMaxMb": 1, "groupPolicy": "open",
        },
        "second": {"dmPolicy": "open", "allowFrom": ["*"]},
    }  # fmt: skip

    def setUp(self) -> None:
        super().setUp()
        self.fetches: list[tuple[Path, int]] = []
        self.outcomes: list[Any] = []
        self.watch()

    def watch(self) -> None:
        async def fetch(media: Media, path: Path, max_bytes: int) -> Media:
            self.fetches.append((path, max_bytes))
            outcome = self.outcomes.pop(0) if self.outcomes else b"content"
            if isinstance(outcome, Deferred):
                outcome = await outcome
            if isinstance(outcome, Exception):
                raise outcome
            path.write_bytes(outcome)
            return media

        for account in self.channels.hub:
            self.patch(account.adapter, "fetch", fetch)

    def picture(self, number: int = 1, text: str = "look", *more: Media, **what: Any) -> Inbound:
        return direct(number, text, media=(PICTURE, *more), **what)

    def test_they_are_fetched_and_the_agent_is_given_their_path(self) -> None:
        self.hear(self.picture())
        ((path, max_bytes),) = self.fetches
        self.assertEqual(path, self.directory / "media" / "inbound" / "1-0.png")
        self.assertEqual(max_bytes, 1024 * 1024)
        self.assertIn(f"[image/png attached: {path}]", self.turns[0].text)

    def test_what_is_said_to_be_too_large_is_not_fetched(self) -> None:
        large = Media(kind="video", name="film.mp4", size=1024 * 1024 + 1)
        self.hear(self.picture(1, "look", large))
        self.assertEqual(len(self.fetches), 1)
        self.assertIn("[video film.mp4: not fetched, larger than 1 MB]", self.turns[0].text)

    def test_what_is_known_not_to_be_there_is_not_fetched(self) -> None:
        gone = Media(kind="video", name="film.mp4", problem="Toy no longer has it")
        self.hear(self.picture(1, "look", gone))
        self.assertEqual(len(self.fetches), 1)
        self.assertIn("[video film.mp4: not fetched, Toy no longer has it]", self.turns[0].text)

    def test_what_the_provider_refuses_is_noted(self) -> None:
        self.outcomes = [SendRefused("Toy says: it is gone")]
        self.hear(self.picture())
        self.assertIn("[image cat.png: not fetched, Toy says: it is gone]", self.turns[0].text)

    def test_what_does_not_work_now_is_tried_again(self) -> None:
        self.outcomes = [SendLater("the line was cut"), SendLater("slow down", 20.0)]
        self.hear(self.picture())
        self.clock.advance(fetching.FIRST_PAUSE)
        self.assertEqual(len(self.fetches), 2)
        self.clock.advance(19)
        self.assertEqual(len(self.fetches), 2)
        self.clock.advance(1)
        self.assertIn("attached:", self.turns[0].text)

    def test_but_not_for_ever(self) -> None:
        self.outcomes = [SendLater("the line was cut")] * 10
        self.hear(self.picture())
        self.clock.pump([5.0] * 20)
        self.assertEqual(len(self.fetches), fetching.TRIES)
        self.assertIn("not fetched, the line was cut", self.turns[0].text)

    def test_one_that_never_comes_is_given_up(self) -> None:
        self.outcomes = [Deferred() for _ in range(10)]
        self.hear(self.picture())
        self.clock.pump([fetching.SECONDS] * 10)
        self.assertIn("not fetched, it did not come in time", self.turns[0].text)

    def test_a_mistake_of_the_adapter_costs_the_file_alone(self) -> None:
        self.outcomes = [ValueError("with a secret")]
        self.hear(self.picture())
        self.assertIn("not fetched, fetching failed: ValueError", self.turns[0].text)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_a_few_at_a_time_and_each_account_for_itself(self) -> None:
        waits: list[Deferred[bytes]] = [Deferred() for _ in range(6)]
        self.outcomes = list(waits)
        for number in range(6):
            group = f"-{number}"
            self.hear(in_group(number, "look", group=group, mentioned=True, media=(PICTURE,)))
        self.assertEqual(len(self.fetches), 4)
        self.outcomes = [b"quick"]
        self.hear(self.picture(), account="second")
        self.assertEqual((len(self.fetches), len(self.turns)), (5, 1))

    def test_one_that_has_to_wait_does_not_keep_the_others_waiting(self) -> None:
        self.outcomes = [SendLater("slow down", 30.0) for _ in range(4)]
        for number in range(5):
            group = f"-{number}"
            self.hear(in_group(number, "look", group=group, mentioned=True, media=(PICTURE,)))
        self.assertEqual((len(self.fetches), len(self.turns)), (5, 1))

    def test_a_changed_account_fetches_what_the_old_one_began(self) -> None:
        begun: Deferred[bytes] = Deferred()
        self.outcomes = [begun]
        self.hear(self.picture())
        self.settings = {"default": self.settings["default"] | {"token": "other"}}
        self.do(self.channels.follow(self.parsed()))
        self.watch()
        begun.cancel()  # as the old one lets go of its connections
        self.clock.advance(fetching.FIRST_PAUSE)
        self.assertEqual(len(self.fetches), 2)
        self.assertIn("attached:", self.turns[0].text)

    def test_a_strangers_files_are_not_fetched(self) -> None:
        self.hear(direct(1, "look", BOB, media=(PICTURE,)))
        self.assertEqual((self.fetches, self.inbox()), ([], ["dropped"]))

    def test_nor_those_of_a_group_that_only_talks(self) -> None:
        self.hear(in_group(1, "look", media=(PICTURE,)))
        self.assertEqual((self.fetches, self.inbox()), ([], ["heard"]))

    def test_after_a_crash_they_are_fetched_to_the_same_place(self) -> None:
        self.outcomes = [Deferred()]
        self.hear(self.picture())
        self.assertEqual(self.inbox(), ["new"])
        self.patch(type(self.adapter), "fetch", refuse_to_fetch)
        self.open()
        self.assertIn("not fetched, gone", self.turns[0].text)


async def refuse_to_fetch(*_: Any) -> Media:
    raise SendRefused("gone")
