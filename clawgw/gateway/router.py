"""From a request frame to its response: find the method, check the caller, decode, call, answer.

Nothing that goes wrong in a request ends the connection. A refusal goes back as it is; parameters
that do not fit are explained, every wrong field by its path, in a worker thread; anything else a
handler raises is logged with its traceback and answered with `UNAVAILABLE` and no detail.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import UNSET
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from clawgw.gateway.connection import Connection
from clawgw.methods import Method, MethodTable, Spliced, Twice
from clawgw.protocol.errors import RequestError, invalid, unavailable
from clawgw.protocol.frames import (
    RequestFrame,
    decode_request,
    encode,
    error_response,
    response,
    spliced_response,
)
from clawgw.protocol.validate import (
    UNREADABLE,
    MalformedJson,
    ParamsRejected,
    explain,
    unreadable,
)
from clawgw.store.database import StoreBusy

MAX_PENDING_REQUESTS = 1024

InThread = Callable[..., Deferred[Any]]
"""Runs a function in the thread pool."""


class Router:
    """Answers requests.

    Args:
        methods: what there is to call.
        in_thread: for explaining rejected parameters.
    """

    log = Logger()

    def __init__(self, methods: MethodTable, in_thread: InThread) -> None:
        self._methods = methods
        self._in_thread = in_thread

    def handle(self, connection: Connection, payload: bytes) -> None:
        """Deal with one text message."""
        try:
            frame = decode_request(payload)
        except msgspec.ValidationError:
            self._refuse_frame(connection, payload)
            return
        except UNREADABLE as problem:
            self.log.info(
                "{conn}: a frame that is no request: {why}",
                conn=connection.conn_id,
                why=unreadable(problem),
            )
            connection.respond(
                error_response(
                    "unknown", invalid(f"invalid request frame: {unreadable(problem)}").shape
                )
            )
            return
        try:
            method = self._methods.find(frame.method)
            method.check(connection)
            if connection.pending_requests >= MAX_PENDING_REQUESTS:
                raise unavailable("too many requests in flight", retryable=True)
            params = self._params(method, frame)
            self._answer(connection, frame, method.handler(connection, params))
        except ParamsRejected as rejected:
            self._spawn(connection, frame, self._explained(method, rejected))
        except Exception as problem:  # noqa: BLE001 - the edge answers for every handler
            self._fail(connection, frame, problem)

    def _params(self, method: Method, frame: RequestFrame) -> Any:
        raw = frame.params
        try:
            return method.decoder.decode(b"{}" if raw is UNSET else raw)
        except MalformedJson as problem:
            raise invalid(f"invalid {method.name} params: {problem}") from None

    async def _explained(self, method: Method, rejected: ParamsRejected) -> Any:
        raise invalid(await self._in_thread(_explanation, method, rejected.value))

    def _refuse_frame(self, connection: Connection, payload: bytes) -> None:
        """A JSON value that is no request frame: answered by its id, if it has one."""
        try:
            value = msgspec.json.decode(payload)
        except UNREADABLE:
            value = None
        given_id = value.get("id") if isinstance(value, dict) else None
        frame_id = given_id if isinstance(given_id, str) and given_id else "unknown"
        error = invalid(
            "invalid request frame: expected {type:'req', id, method, params?} with id and method "
            "as non-empty strings and nothing else"
        )
        self.log.info("{conn}: a frame that is no request", conn=connection.conn_id)
        connection.respond(error_response(frame_id, error.shape))

    def _spawn(self, connection: Connection, frame: RequestFrame, work: Awaitable[Any]) -> None:
        """Answer when the work is done; the handler runs on meanwhile."""
        connection.pending_requests += 1

        def over(result: Any) -> Any:
            connection.pending_requests -= 1
            return result

        def failed(failure: Any) -> None:
            self._fail(connection, frame, failure.value)

        deferred = Deferred.fromCoroutine(_awaited(work))
        deferred.addBoth(over)
        deferred.addCallback(lambda result: self._answer(connection, frame, result))
        deferred.addErrback(failed)
        deferred.addErrback(lambda failure: self.log.failure("while answering", failure))

    def _answer(self, connection: Connection, frame: RequestFrame, result: Any) -> None:
        """Send what a handler returned, now or when it is there."""
        if type(result) is bytes:
            connection.respond(response(frame.id, result))
        elif inspect.iscoroutine(result) or isinstance(result, Deferred):
            self._spawn(connection, frame, result)
        elif isinstance(result, Twice):
            connection.respond(response(frame.id, encode(result.first)))
            self._spawn(connection, frame, result.final)
        elif isinstance(result, Spliced):
            connection.respond_spliced(spliced_response(frame.id, result.parts))
        else:
            connection.respond(response(frame.id, encode(result)))

    def _fail(self, connection: Connection, frame: RequestFrame, problem: BaseException) -> None:
        if isinstance(problem, StoreBusy):
            problem = unavailable("the store is behind, try again", retryable=True)
        if not isinstance(problem, RequestError):
            self.log.error(
                "{conn}: {method} failed: {problem!r}\n{trace}",
                conn=connection.conn_id,
                method=frame.method,
                problem=problem,
                trace=_trace(problem),
            )
            problem = unavailable(f"{frame.method} failed inside the Gateway; its log says why")
        payload = None if problem.payload is None else encode(problem.payload)
        connection.respond(error_response(frame.id, problem.shape, payload))


def _explanation(method: Method, value: Any) -> str:
    """What is wrong with parameters; for a worker thread, where the schema is made too."""
    return explain(method.name, method.decoder.schema, value)


async def _awaited(work: Awaitable[Any]) -> Any:
    return await work


def _trace(problem: BaseException) -> str:
    import traceback  # only when something broke

    return "".join(traceback.format_exception(problem))
