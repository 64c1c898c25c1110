"""Sending: a part is asked for with its key, and what becomes of it is kept in `Answers`.

A request is not given up when its time is over: its answer may still come, and then `find` knows.
If it does not come for long, the link is ended, and then nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock, TimeoutError
from twisted.python.failure import Failure

from clawgw.channels.adapter import Host, SendError, SendLater, SendUnknown, Unsupported
from clawgw.channels.child import RpcLink
from clawgw.channels.messages import OutMedia
from clawgw.channels.signal import sending
from clawgw.channels.signal.answers import Answers, timestamp_in
from clawgw.jsonrpc import ProcessGone, RpcError

SEND_SECONDS = 120.0
BUSY_SECONDS = 5.0
HUNG_SECONDS = 900.0


class Outgoing:
    """Sends.

    Args:
        answers: where it is kept what became of a send.
        settled: told when one has been answered.
    """

    def __init__(self, host: Host, answers: Answers, settled: Callable[[], None]) -> None:
        self._host = host
        self._answers = answers
        self._on_settled = settled
        self._uploads = DeferredLock()
        self._asked_at: dict[str, float] = {}

    async def send(
        self, link: RpcLink | None, key: str, params: dict[str, Any], media: OutMedia | None
    ) -> int:
        """Send a part; returns the timestamp that names it.

        Raises:
            SendError
        """
        if media is None:
            return await self._send(link, key, params)
        await self._uploads.acquire()  # a file is in memory while it is sent: one at a time
        try:
            uri = await self._host.in_thread(sending.data_uri, media)
            return await self._send(link, key, {**params, "attachment": [uri]})
        finally:
            self._uploads.release()

    def find(self, link: RpcLink | None, key: str) -> int | None:
        """The timestamp of a part whose outcome was unknown; None if it was not sent.

        Raises:
            SendLater, Unsupported
        """
        if link is None:
            raise SendLater("signal-cli is not running")
        if self._answers.is_under_way(key):
            self._end_if_it_hangs(link, key)
            raise SendLater("it is still being sent", BUSY_SECONDS)
        if self._answers.is_lost(key):
            raise Unsupported("signal-cli failed, or was killed, while it was sending this")
        return self._answers.timestamp_of(key)

    async def _send(self, link: RpcLink | None, key: str, params: dict[str, Any]) -> int:
        if link is None or not link.running:
            raise SendLater("signal-cli is not running")
        if self._answers.is_under_way(key):
            raise SendLater("it is still being sent", BUSY_SECONDS)
        self._answers.asked(key)
        self._asked_at[key] = self._host.reactor.seconds()
        waiting: Deferred[Any] = Deferred()

        def settled(result: Any) -> None:
            self._settled(key, result)
            if not waiting.called:
                waiting.callback(result)

        link.request("send", params, key=key).addBoth(settled)
        waiting.addTimeout(SEND_SECONDS, self._host.reactor)
        try:
            answer = await waiting
        except RpcError as problem:
            raise self._failure(problem) from None
        except ProcessGone as problem:
            raise SendUnknown(f"signal-cli ended while it was sending: {problem}") from None
        except TimeoutError:
            raise SendUnknown("signal-cli did not answer in time") from None
        timestamp = timestamp_in(answer)
        if timestamp is None:
            raise SendUnknown("signal-cli answered without a timestamp")
        return timestamp

    def _end_if_it_hangs(self, link: RpcLink, key: str) -> None:
        since = self._asked_at.get(key)
        if since is not None and self._host.reactor.seconds() - since > HUNG_SECONDS:
            self._host.log.warn(
                "signal-cli has not answered for {seconds:g} s; it is ended", seconds=HUNG_SECONDS
            )
            link.ended.addCallback(self._doubt, key)
            link.stop()

    def _doubt(self, reason: str, key: str) -> None:
        if self._answers.timestamp_of(key) is None:
            self._answers.doubted(key)

    def _settled(self, key: str, result: Any) -> None:
        self._asked_at.pop(key, None)
        timestamp = None if isinstance(result, Failure) else timestamp_in(result)
        problem = result.value if isinstance(result, Failure) else None
        if not isinstance(problem, ProcessGone):
            error = problem if isinstance(problem, RpcError) else None
            self._answers.settled(key, timestamp, error)
        # Otherwise the child has ended; whether that was in good order is not known yet.
        if missed := sending.missed(result):
            self._host.log.warn(
                "a message did not reach {count} of a group: {kinds}",
                count=len(missed), kinds=", ".join(sorted(set(missed))),
            )  # fmt: skip
        self._on_settled()

    def _failure(self, problem: RpcError) -> SendError:
        challenge = sending.challenge_in(problem)
        if challenge is not None:
            self._host.warn(
                "Signal wants to be shown that a person is behind this account. Get a captcha at "
                "https://signalcaptchas.org/challenge/generate.html and run: signal-cli "
                f"submitRateLimitChallenge --challenge {challenge} --captcha CAPTCHA"
            )
        return sending.failure_of(problem)
