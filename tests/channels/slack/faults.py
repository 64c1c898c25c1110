"""What can go wrong with one HTTP request; a test queues these for a method's next calls."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Throttle:
    """429 with ``Retry-After``; nothing is done."""

    retry_after: float = 1


@dataclass(frozen=True)
class Refuse:
    """``{"ok": false, "error": …}`` with status 200, as Slack refuses; nothing is done."""

    error: str


@dataclass(frozen=True)
class Broken:
    """An HTTP error status with a page for people instead of JSON; nothing is done."""

    status: int = 500


@dataclass(frozen=True)
class Cut:
    """The connection is reset: before anything is done, or after (the answer is lost)."""

    acted: bool = False


@dataclass(frozen=True)
class Delay:
    """The answer takes this many seconds; the request is acted on at once."""

    seconds: float


@dataclass(frozen=True)
class Answer:
    """This body with status 200 instead of the real answer, after having acted."""

    body: bytes


Fault = Throttle | Refuse | Broken | Cut | Delay | Answer
