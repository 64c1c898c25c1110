"""Who and what the ids in Slack's events are: names of people, kinds and names of conversations.

Asked for once, kept for a while. A name that cannot be had now is done without: a message never
waits long for one, and is never lost for the lack of it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Generic, NamedTuple, TypeVar

from twisted.internet.defer import Deferred

from clawgw.channels.slack.api import Json, NotNow, SlackApi, SlackError

KEPT_SECONDS = 900.0
AGAIN_SECONDS = 60.0
MOST_KEPT = 5_000
ASK_SECONDS = 2.0
"""Less than the three seconds after which Slack sends an event again."""

_T = TypeVar("_T")


class Person(NamedTuple):
    """A member of the workspace. `handle` is the name after the @, `name` what people see."""

    id: str
    handle: str = ""
    name: str = ""
    is_bot: bool = False


class Conversation(NamedTuple):
    """A conversation. `kind` is Slack's `channel_type`: channel, group, im or mpim."""

    id: str
    kind: str
    name: str = ""


class Directory:
    """Looks people and conversations up.

    Args:
        api: with the bot's token.
        seconds: the time, in seconds.
    """

    def __init__(self, api: SlackApi, seconds: Callable[[], float]) -> None:
        self._api = api
        self._people: _Kept[Person] = _Kept(seconds, self._ask_person, Person)
        self._conversations: _Kept[Conversation] = _Kept(
            seconds, self._ask_conversation, lambda one: Conversation(one, kind_by_id(one))
        )

    async def person(self, user: str) -> Person:
        """A person, by id; without names when they cannot be had."""
        return await self._people.get(user)

    async def conversation(self, channel: str, kind: object = None) -> Conversation:
        """A conversation, by id.

        Args:
            kind: what an event says of it; counts more than what was looked up.
        """
        if kind == "im":
            return Conversation(channel, "im")
        found = await self._conversations.get(channel)
        return found._replace(kind=kind) if isinstance(kind, str) and kind in KINDS else found

    def name_of(self, user: str) -> str | None:
        """What people call somebody who was looked up before."""
        known = self._people.known(user)
        return (known.name or known.handle or None) if known else None

    async def _ask_person(self, user: str) -> Person:
        answer = await self._api.call("users.info", seconds=ASK_SECONDS, user=user)
        found = _dict(answer.get("user"))
        profile = _dict(found.get("profile"))
        name = profile.get("display_name") or profile.get("real_name") or found.get("real_name")
        return Person(
            user, str(found.get("name") or ""), str(name or ""), found.get("is_bot") is True
        )

    async def _ask_conversation(self, channel: str) -> Conversation:
        answer = await self._api.call("conversations.info", seconds=ASK_SECONDS, channel=channel)
        found = _dict(answer.get("channel"))
        return Conversation(channel, kind_of(found), str(found.get("name") or ""))


KINDS = ("channel", "group", "im", "mpim")


def kind_of(found: Json) -> str:
    """The `channel_type` of a conversation object."""
    for kind in ("im", "mpim"):
        if found.get(f"is_{kind}") is True:
            return kind
    return "channel" if found.get("is_channel") is True else "group"


def kind_by_id(channel: str) -> str:
    """The most likely `channel_type`, where nothing else is known."""
    return {"D": "im", "G": "group"}.get(channel[:1], "channel")


class _Kept(Generic[_T]):
    """Answers, kept for a while; of many who ask for the same at once, one asks Slack."""

    def __init__(
        self,
        seconds: Callable[[], float],
        ask: Callable[[str], Coroutine[Any, Any, _T]],
        default: Callable[[str], _T],
    ) -> None:
        self._seconds = seconds
        self._ask = ask
        self._default = default
        self._known: dict[str, tuple[float, _T]] = {}
        self._asked: dict[str, list[Deferred[_T]]] = {}
        self._quiet_until = 0.0

    def known(self, key: str) -> _T | None:
        found = self._known.get(key)
        return None if found is None else found[1]

    async def get(self, key: str) -> _T:
        found = self._known.get(key)
        if found is not None and found[0] > self._seconds():
            return found[1]
        if self._seconds() < self._quiet_until:
            return found[1] if found else self._default(key)
        if key in self._asked:
            waiting: Deferred[_T] = Deferred()
            self._asked[key].append(waiting)
            return await waiting
        self._asked[key] = []
        answer, keep = (found[1] if found else self._default(key)), AGAIN_SECONDS
        try:
            answer, keep = await self._ask(key), KEPT_SECONDS
        except NotNow as problem:
            self._quiet_until = self._seconds() + (problem.retry_after or 1.0)
        except SlackError:
            pass
        finally:
            for waiting in self._asked.pop(key):
                waiting.callback(answer)
        self._keep(key, self._seconds() + keep, answer)
        return answer

    def _keep(self, key: str, until: float, answer: _T) -> None:
        self._known.pop(key, None)
        if len(self._known) >= MOST_KEPT:
            del self._known[next(iter(self._known))]
        self._known[key] = (until, answer)


def _dict(value: Any) -> Json:
    return value if isinstance(value, dict) else {}
