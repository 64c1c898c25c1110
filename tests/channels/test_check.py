"""Whether an account would work, asked before it is written into the configuration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from clawgw.channels.adapter import Capabilities, Fatal, Fault, LoggedOut, Unsupported
from clawgw.channels.check import CHECK_SECONDS, Found, check_account
from clawgw.channels.format import Format
from clawgw.channels.providers import Configured
from tests.channels.support import TOY, ToyAdapter, ToySettings
from tests.support.memory import MsClock


class Asking(ToyAdapter):
    """Asks its provider, and is let go of."""

    made: list[Asking]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.answer: Deferred[dict[str, Any]] = Deferred()
        self.closed = False
        Asking.made.append(self)

    async def check(self) -> dict[str, Any]:
        return await self.answer

    async def close(self) -> None:
        self.closed = True


class Scanned(Asking):
    """One that is logged in to by a QR code."""

    capabilities = Capabilities(format=Format.PLAIN, text_limit=200, login=True)


class WithThreads(MsClock):
    """A clock that could have threads; nothing here needs one."""

    def getThreadPool(self) -> None:
        return None


class CheckTests(SynchronousTestCase):
    def setUp(self) -> None:
        Asking.made = []
        self.clock = WithThreads()

    def ask(self, adapter: str = "Asking") -> Deferred[Found]:
        """Begin to ask."""
        provider = replace(TOY, adapter=f"{__name__}:{adapter}")
        one = Configured(provider, "default", ToySettings())
        return Deferred.fromCoroutine(check_account(one, self.clock, Path("nowhere"), {}))

    def asked(self, answer: Any, adapter: str = "Asking") -> Deferred[Found]:
        """What comes of an answer; the adapter has been let go of in any case."""
        asking = self.ask(adapter)
        (made,) = Asking.made
        self.assertFalse(made.closed)
        if isinstance(answer, Exception):
            made.answer.errback(answer)
        else:
            made.answer.callback(answer)
        self.assertTrue(made.closed)
        return asking

    def test_what_the_provider_says(self) -> None:
        found = self.successResultOf(self.asked({"bot": "toy"}))
        self.assertEqual(found, Found({"bot": "toy"}))

    def test_a_provider_that_cannot_be_asked(self) -> None:
        self.assertEqual(self.successResultOf(self.asked(Unsupported("no"))), Found({}))

    def test_what_would_not_work(self) -> None:
        self.failureResultOf(self.asked(Fatal("the token is wrong")), Fatal)

    def test_somebody_has_to_log_in(self) -> None:
        found = self.successResultOf(self.asked(LoggedOut("no phone"), "Scanned"))
        self.assertEqual(found, Found({}, needs_login=True))

    def test_unlinked_where_there_is_no_login(self) -> None:
        self.failureResultOf(self.asked(LoggedOut("unlinked")), LoggedOut)

    def test_no_answer_in_time(self) -> None:
        asking = self.ask()
        self.clock.advance(CHECK_SECONDS)
        self.assertIn("gave no answer within 60 s", str(self.failureResultOf(asking, Fault).value))
        self.assertTrue(Asking.made[0].closed)
