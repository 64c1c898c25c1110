"""A fake of the Telegram Bot API on loopback, written from its documentation.

It serves `/bot<token>/<method>` and `/file/bot<token>/<path>` for one or more bots, checks what it
is asked, records it, and answers as Telegram does; `World` holds what a bot sees, `Faults` what a
test orders to go wrong. Polling follows the documentation of `getUpdates` and the published server:
an offset confirms everything before it; a second poll that has to wait ends the first with 409; so
does a webhook; a poll that repeats its offset within half a second gets one update only.

`enforce_rates` turns on the limits the Bot FAQ names: one message a second in a chat with short
bursts, 20 a minute in a group, 30 a second altogether; edits count too.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.protocols.policies import WrappingFactory
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from tests.channels.telegram.errors import ApiError, bad
from tests.channels.telegram.faults import Fault, Faults, answer
from tests.channels.telegram.methods import NAMES, Call, call_method
from tests.channels.telegram.request import read_call
from tests.channels.telegram.webhook import Webhook, check_address
from tests.channels.telegram.world import Json, World
from tests.support.ports import hold_port

TOKEN = "123456789:AAF-fake_token_of_the_tests_0123456789"
LONGEST_POLL = 50
CONFLICT_SECONDS = 3.0
SAME_OFFSET_SECONDS = 0.5
BURST = 5
_WRITES = re.compile("^(send(?!ChatAction)|editMessage)")
_PATH = re.compile(r"/bot([^/]+)/([A-Za-z]+)$")
_FILE = re.compile(r"/file/bot([^/]+)/(.+)$")


class FakeTelegram:
    """The server.

    Args:
        tokens: of the bots it knows.

    Attributes:
        calls: what was asked, in order: token, method, parameters; refused calls as well.
        complaints: what a bot of ours should not have asked.
        refusals: the errors it answered with.
    """

    def __init__(self, reactor: Any, *tokens: str) -> None:
        self.worlds = {token: World(token) for token in tokens or (TOKEN,)}
        self.faults = Faults()
        self.calls: list[tuple[str, str, Json]] = []
        self.complaints: list[str] = []
        self.refusals: list[str] = []
        self.enforce_rates = False
        self.webhook_proxy = ""
        self.webhooks: dict[str, Webhook] = {}
        self._reactor = reactor
        self._polls: dict[str, _Poll] = {}
        self._pace: dict[str, _Pace] = {token: _Pace() for token in self.worlds}
        self._rates: dict[tuple[str, int], deque[float]] = {}
        self._waiters: list[tuple[Callable[[], Any], Deferred[Any]]] = []
        self._later: set[Any] = set()
        self._looking = False
        self._open: set[Request] = set()
        self._connections: Any = None
        self._port: Any = None
        self.port = hold_port(self)
        for world in self.worlds.values():
            world.changed = self._changed

    # for tests

    @property
    def world(self) -> World:
        """What the first bot sees."""
        return next(iter(self.worlds.values()))

    @property
    def api_root(self) -> str:
        """The address to configure."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> FakeTelegram:
        """Listen, on the same port each time."""
        site = Site(_Api(self))
        site.displayTracebacks = False
        site.log = lambda request: None
        self._connections = WrappingFactory(site)
        site.noisy = self._connections.noisy = False
        self._port = self._reactor.listenTCP(self.port, self._connections, interface="127.0.0.1")
        self.port = self._port.getHost().port
        return self

    async def stop(self) -> None:
        """Close everything; may be started again."""
        for webhook in self.webhooks.values():
            webhook.cut()
        for call in list(self._later):
            if call.active():
                call.cancel()
        self._later.clear()
        self._looking = False
        port, self._port = self._port, None
        if port is not None:
            await port.stopListening()
        self.cut_connections()
        self._polls.clear()

    def cut_connections(self) -> None:
        """Cut every connection there is."""
        for connection in self.connections:
            connection.abortConnection()

    @property
    def connections(self) -> list[Any]:
        """The connections there are."""
        return list(self._connections.protocols)

    def asked(self, method: str, token: str | None = None) -> list[Json]:
        """The parameters of the calls of a method."""
        return [
            params for by, name, params in self.calls
            if name == method and token in (None, by)
        ]  # fmt: skip

    def when(self, condition: Callable[[], Any], seconds: float = 90.0) -> Deferred[Any]:
        """Fires with what the condition says as soon as that is true; it is asked at each change.

        Fails with AssertionError after so many seconds.
        """
        fired: Deferred[Any] = Deferred()
        self._waiters.append((condition, fired))

        def late() -> None:
            self._later.discard(call)
            if not fired.called:
                tail = [(method, params) for _token, method, params in self.calls[-5:]]
                fired.errback(AssertionError(f"not within {seconds} s; last asked: {tail}"))

        call = self._reactor.callLater(seconds, late)
        self._later.add(call)
        fired.addBoth(_passing(lambda: self._cancel(call)))
        self._look()
        return fired

    def look(self) -> None:
        """Ask the conditions of `when` again."""
        self._look()

    # the server

    def handle(self, request: Request) -> None:
        """Answer a request, now or later."""
        self._open.add(request)
        request.notifyFinish().addBoth(lambda _: self._open.discard(request))
        path = request.path.decode(errors="replace")
        if found := _FILE.match(path):
            self._serve_file(request, *found.groups())
            return
        found = _PATH.match(path)
        if found is None:
            self._finish(request, 404, ApiError(404, "Not Found").body())
            return
        token, method = found.groups()
        try:
            params, files = read_call(request)
            call = Call(NAMES.get(method.lower(), method), params, files)
            self.calls.append((token, call.method, params))
            self._strike(request, token, call)
        except ApiError as error:
            self._fail(request, error)
        self._changed()

    def _strike(self, request: Request, token: str, call: Call) -> None:
        fault = self.faults.take(call.method)
        if fault is None:
            self._act(request, token, call)
        elif fault.error is not None:
            raise fault.error
        elif fault.kind == "cut":
            _abort(request.channel)
        elif fault.kind == "delay":
            self._in(fault.seconds, lambda: self._act_late(request, token, call))
        else:
            self._spoil(request, token, call, fault)

    def _spoil(self, request: Request, token: str, call: Call, fault: Fault) -> None:
        body = fault.body
        if fault.acts:
            done = json.dumps(answer(self._do(token, call))).encode()
            body = body or done
        if fault.kind == "lose":
            _abort(request.channel)
        elif fault.kind == "half":
            request.setHeader(b"content-length", str(len(body)).encode())
            request.write(body[: len(body) // 2])
            request.channel.loseConnection()  # once that is sent
        else:
            self._write(request, fault.status, body)

    def _act_late(self, request: Request, token: str, call: Call) -> None:
        try:
            self._act(request, token, call)
        except ApiError as error:
            self._fail(request, error)
        self._changed()

    def _act(self, request: Request, token: str, call: Call) -> None:
        if call.method == "getUpdates":
            self._poll(request, self._bot(token), call)
        else:
            self._finish(request, 200, answer(self._do(token, call)))

    def _do(self, token: str, call: Call) -> Any:
        world = self._bot(token)
        if call.method not in NAMES.values():
            raise ApiError(404, "Not Found: method not found")
        if call.method == "getUpdates":
            return self._waiting(world, call)
        if call.method in ("setWebhook", "deleteWebhook", "getWebhookInfo"):
            return self._webhook(world, call)
        if self.enforce_rates and _WRITES.match(call.method):
            self._limit(token, world.chat_for_writing(call.params.get("chat_id")).id)
        return call_method(world, call, self.complaints)

    def _bot(self, token: str) -> World:
        if token in self.worlds:
            return self.worlds[token]
        if not re.fullmatch(r"[1-9]\d*:[\w-]{3,}", token):
            raise ApiError(404, "Not Found")
        raise ApiError(401, "Unauthorized")

    # getUpdates

    def _poll(self, request: Request, world: World, call: Call) -> None:
        if world.token in self.webhooks:
            raise ApiError(
                409, "Conflict: can't use getUpdates method while webhook is active; "
                "use deleteWebhook to delete the webhook first",
            )  # fmt: skip
        offset, timeout = call.integer("offset", 0) or 0, call.integer("timeout", 0) or 0
        timeout = max(0, min(timeout, LONGEST_POLL))
        repeats = self._pace[world.token].repeats(offset, self._reactor.seconds())
        if repeats is not None and timeout < 3:
            timeout = 3
        found = self._waiting(
            world, call, one=repeats is not None and repeats < SAME_OFFSET_SECONDS
        )
        if found or not timeout:
            self._finish(request, 200, answer(found))
            return
        self._end_poll(
            world.token, "Conflict: terminated by other getUpdates request; "
            "make sure that only one bot instance is running",
        )  # fmt: skip
        poll = _Poll(request, call, self._reactor.callLater(timeout, self._time_out, world))
        self._polls[world.token] = poll
        request.notifyFinish().addErrback(lambda _: self._forget(world.token, poll))

    def _waiting(self, world: World, call: Call, *, one: bool = False) -> list[Json]:
        allowed = call.structure("allowed_updates", list, "allowed_updates")
        if allowed is not None:
            world.allowed = set(allowed) or None
        limit = max(1, min(call.integer("limit", 100) or 100, 100))
        return world.waiting(call.integer("offset", 0) or 0, 1 if one else limit)

    def _time_out(self, world: World) -> None:
        poll = self._polls.pop(world.token)
        self._finish(poll.request, 200, answer([]))

    def _end_poll(self, token: str, why: str) -> None:
        poll = self._polls.pop(token, None)
        if poll is None:
            return
        self._cancel(poll.timeout)
        error = ApiError(409, why)
        wait = self._pace[token].conflict(self._reactor.seconds())
        self._in(wait, lambda: self._fail(poll.request, error))

    def _forget(self, token: str, poll: _Poll) -> None:
        self._cancel(poll.timeout)
        if self._polls.get(token) is poll:
            del self._polls[token]

    def _wake(self) -> None:
        for token, poll in list(self._polls.items()):
            if found := self._waiting(self.worlds[token], poll.call):
                del self._polls[token]
                self._cancel(poll.timeout)
                self._finish(poll.request, 200, answer(found))

    # webhooks

    def _webhook(self, world: World, call: Call) -> Any:
        current = self.webhooks.get(world.token)
        if call.method == "getWebhookInfo":
            trouble = current.last_error if current else ""
            return {
                "url": current.url if current else "", "has_custom_certificate": False,
                "pending_update_count": len(world.updates),
                **({"last_error_date": 1, "last_error_message": trouble} if trouble else {}),
            }  # fmt: skip
        url = call.text("url") if call.method == "setWebhook" else ""
        if url:
            check_address(url)
        if not re.fullmatch(r"[A-Za-z0-9_-]{0,256}", call.text("secret_token")):
            raise bad("secret token contains unallowed characters")
        allowed = call.structure("allowed_updates", list, "allowed_updates")
        if allowed is not None:
            world.allowed = set(allowed) or None
        if call.flag("drop_pending_updates"):
            world.updates.clear()
        if current is not None:
            self.webhooks.pop(world.token).close()
        if url:
            self._end_poll(world.token, "Conflict: terminated by setWebhook request")
            self.webhooks[world.token] = Webhook(
                self._reactor, call.params, self.webhook_proxy, lambda: world.updates,
                lambda offset, told: self._taken(world, offset, told),
            )  # fmt: skip
        return True

    def _taken(self, world: World, offset: int, told: Json) -> None:
        """An update was taken by a webhook, which may have answered with a call."""
        world.confirm(offset)
        if isinstance(told.get("method"), str):
            params = {name: value for name, value in told.items() if name != "method"}
            method = NAMES.get(told["method"].lower(), told["method"])
            self.calls.append((world.token, method, params))
            try:
                self._do(world.token, Call(method, params, {}))
            except ApiError as error:
                self.complaints.append(f"a webhook answered with {method}: {error}")
        self._changed()

    # limits, files, answers

    def _limit(self, token: str, chat_id: int) -> None:
        now = self._reactor.seconds()
        group = chat_id < 0
        per_chat = (20, 60.0) if group else (BURST, float(BURST))
        for key, (most, seconds) in (((token, 0), (30, 1.0)), ((token, chat_id), per_chat)):
            times = self._rates.setdefault(key, deque())
            while times and times[0] <= now - seconds:
                times.popleft()
            if len(times) >= most:
                wait = max(1, int(times[0] + seconds - now) + 1)
                raise ApiError(429, f"Too Many Requests: retry after {wait}", retry_after=wait)
            times.append(now)

    def _serve_file(self, request: Request, token: str, path: str) -> None:
        fault = self.faults.take("file")
        try:
            upload = self._bot(token).files.get(path.rpartition("/")[2])
        except ApiError as error:
            self._fail(request, error)
            return
        self.calls.append((token, "file", {"path": path}))
        if upload is None or (fault is not None and fault.kind == "refuse"):
            self._fail(request, ApiError(404, "Not Found"))
        elif fault is not None:
            request.setHeader(b"content-length", str(len(upload.data)).encode())
            request.write(upload.data[: len(upload.data) // 2])
            request.channel.loseConnection()  # once that is sent
        else:
            self._write(request, 200, upload.data, "application/octet-stream")
        self._changed()

    def _fail(self, request: Request, error: ApiError) -> None:
        self.refusals.append(error.description)
        if "retry_after" in error.parameters:
            request.setHeader(b"retry-after", str(error.parameters["retry_after"]).encode())
        self._finish(request, error.code, error.body())

    def _finish(self, request: Request, code: int, body: Json) -> None:
        self._write(request, code, json.dumps(body).encode())

    def _write(
        self, request: Request, code: int, body: bytes, kind: str = "application/json"
    ) -> None:
        if request not in self._open:
            return
        request.setResponseCode(code)
        request.setHeader(b"content-type", kind.encode())
        request.setHeader(b"content-length", str(len(body)).encode())
        request.write(body)
        request.finish()

    # changes

    def _changed(self) -> None:
        self._wake()
        for webhook in list(self.webhooks.values()):
            webhook.pump()
        self._look()

    def _look(self) -> None:
        # Later: whoever made the change should not find the test in the middle of it.
        if not self._looking:
            self._looking = True
            self._in(0, self._look_now)

    def _look_now(self) -> None:
        self._looking = False
        for waiter in list(self._waiters):
            condition, fired = waiter
            if fired.called:
                self._waiters.remove(waiter)
            elif found := condition():
                self._waiters.remove(waiter)
                fired.callback(found)

    def _in(self, seconds: float, do: Callable[[], None]) -> None:
        def run() -> None:
            self._later.discard(call)
            do()

        call = self._reactor.callLater(seconds, run)
        self._later.add(call)

    def _cancel(self, call: Any) -> None:
        self._later.discard(call)
        if call.active():
            call.cancel()


class _Poll:
    """A `getUpdates` that waits."""

    def __init__(self, request: Request, call: Call, timeout: Any) -> None:
        self.request = request
        self.call = call
        self.timeout = timeout


class _Pace:
    """How a bot polls: which offset when, and when it was last told of a conflict."""

    def __init__(self) -> None:
        self._offset: int | None = None
        self._at = 0.0
        self._conflict_at = 0.0

    def repeats(self, offset: int, now: float) -> float | None:
        """Seconds since the same offset was asked for, if that was the last and a moment ago."""
        since = now - self._at
        same = offset == self._offset and since < CONFLICT_SECONDS
        self._offset, self._at = offset, now
        return since if same else None

    def conflict(self, now: float) -> float:
        """Seconds to wait before telling of a conflict."""
        if now >= self._conflict_at:
            self._conflict_at = now + CONFLICT_SECONDS
            return 0.0
        return CONFLICT_SECONDS


class _Api(Resource):
    isLeaf = True

    def __init__(self, fake: FakeTelegram) -> None:
        super().__init__()
        self._fake = fake

    def render(self, request: Any) -> int:
        if request.method not in (b"GET", b"POST"):
            request.setResponseCode(404)
        self._fake.handle(request)
        return NOT_DONE_YET


def _abort(channel: Any) -> None:
    if channel is not None and channel.transport is not None:
        channel.transport.abortConnection()


def _passing(do: Callable[[], None]) -> Callable[[Any], Any]:
    def through(result: Any) -> Any:
        do()
        return result

    return through
