"""Slash commands and buttons: what has to be answered within three seconds.

`/ask` is a message like any other: it is stored, then the question is shown to everybody in the
channel as the interaction's answer, and what the agent says follows as ordinary messages. So
nothing hangs on the interaction's token, which is good for a quarter of an hour only. Somebody the
policy would not listen to is told so, and nobody else sees it.

A press of a button is answered to the one who pressed. It counts once Discord has taken our
answer: an old press that a resume brings again does nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from clawgw.channels.adapter import Host
from clawgw.channels.discord.api import DEFERRED, EPHEMERAL, MESSAGE, Api, Refused, Throttled
from clawgw.channels.discord.inbound import asked, sender
from clawgw.channels.discord.objects import Interaction
from clawgw.channels.discord.places import Place, Places
from clawgw.channels.discord.protocol import Frame
from clawgw.channels.http import HttpError
from clawgw.channels.messages import Inbound, Press
from clawgw.channels.policy import Policy, judge
from clawgw.channels.presses import outcome

INTERACTION = "INTERACTION_CREATE"
COMMAND, COMPONENT = 2, 3
SHOWN = 1_800

NOBODY: dict[str, Any] = {"parse": []}

ASK = {
    "name": "ask",
    "type": 1,
    "description": "Ask the agent",
    "contexts": [0, 1],
    "integration_types": [0],
    "options": [
        {
            "type": 3,
            "name": "question",
            "description": "What you want to know or to have done",
            "required": True,
        }
    ],
}
"""The command as Discord is told of it: in servers, and in direct messages with the bot."""


class Interactions:
    """Answers interactions.

    Args:
        policy: who is listened to.
    """

    log = Logger()

    def __init__(self, host: Host, api: Api, places: Places, policy: Policy) -> None:
        self._host = host
        self._api = api
        self._places = places
        self._policy = policy
        self._doing: dict[int, Deferred[None]] = {}

    def begin(self, frame: Frame, bot: str) -> None:
        """An interaction came: it is answered now, whatever waits to be read before it."""
        self._doing[id(frame)] = Deferred.fromCoroutine(self._handle(frame.d, bot))

    async def over(self, frame: Frame) -> None:
        """Wait until it has been dealt with; returns at once for any other event.

        Raises:
            StoreError: a question could not be stored.
        """
        task = self._doing.pop(id(frame), None)
        if task is not None:
            await task

    def give_up(self) -> None:
        """The connection is over; what was not dealt with comes again with the session."""
        doing, self._doing = self._doing, {}
        for task in doing.values():
            task.addErrback(lambda _: None)
            task.cancel()

    async def _handle(self, data: Any, bot: str) -> None:
        try:
            interaction = msgspec.convert(data, Interaction)
        except (msgspec.ValidationError, RecursionError):
            self.log.warn("Discord sent an interaction that cannot be read; skipped")
            return
        if interaction.channel is not None:
            self._places.learn(interaction.channel, interaction.guild_id)
        place = await self._places.find(interaction.channel_id, interaction.guild_id, bot)
        if interaction.type == COMMAND:
            await self._command(interaction, place)
        elif interaction.type == COMPONENT:
            await self._press(interaction, place)

    async def _command(self, interaction: Interaction, place: Place) -> None:
        inbound = asked(interaction, place)
        if inbound is None:
            await self._tell(interaction, MESSAGE, "I know the command /ask only.", private=True)
            return
        if judge(inbound, self._policy, ()).act == "drop":
            text = "You are not on the list of those I may listen to here."
            await self._tell(interaction, MESSAGE, text, private=True)
            return
        await self._host.received([inbound])
        await self._tell(interaction, MESSAGE, _shown(inbound))

    async def _press(self, interaction: Interaction, place: Place) -> None:
        who = interaction.who
        if who is None or interaction.message is None:
            return
        if not await self._tell(interaction, DEFERRED, private=True):
            return
        press = Press(
            chat=place.chat(),
            sender=sender(who, interaction.member),
            message_id=interaction.message.id,
            data=interaction.data.custom_id,
        )
        said = await outcome(self._host, press)
        body = {"content": said[:2000] or "Done.", "allowed_mentions": NOBODY}
        try:
            await self._api.fill(interaction.application_id, interaction.token, body)
        except (Refused, Throttled, HttpError) as problem:
            self.log.info("the answer to a press was not shown: {why}", why=str(problem))

    async def _tell(
        self, interaction: Interaction, kind: int, text: str = "", *, private: bool = False
    ) -> bool:
        """Answer; returns whether Discord took it."""
        data: dict[str, Any] = {"flags": EPHEMERAL} if private else {}
        if text:
            data |= {"content": text, "allowed_mentions": NOBODY}
        try:
            await self._api.answer(interaction.id, interaction.token, kind, data)
        except (Refused, Throttled, HttpError) as problem:
            self.log.info("an interaction was not answered: {why}", why=str(problem))
            return False
        return True


def _shown(inbound: Inbound) -> str:
    """The question, for all to see."""
    text = inbound.text if len(inbound.text) <= SHOWN else f"{inbound.text[:SHOWN]}…"
    lines = "\n".join(f"> {line}" for line in text.splitlines() or [""])
    return f"**{_plain(inbound.sender.name)}** asked:\n{lines}"[:2000]


def _plain(name: str) -> str:
    return "".join("\\" + char if char in "\\*_~`|>" else char for char in name)[:100] or "Somebody"
