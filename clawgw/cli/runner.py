"""One place where a command meets the reactor, and where its failure becomes an exit code.

Ctrl-C cancels what the command waits for, so that it can still say goodbye (``clawgw agent``
aborts its run); a second Ctrl-C stops at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from clawgw.cli.output import clean
from clawgw.cli.settings import Globals, client_options

if TYPE_CHECKING:
    from clawgw.client import GatewayClient, Hello

__all__ = [
    "CANNOT_CONNECT",
    "GATEWAY_ERROR",
    "INTERRUPTED",
    "NOT_AUTHORISED",
    "TIMEOUT",
    "USAGE",
    "CommandError",
    "converse",
    "serve",
    "told",
    "work",
]

GATEWAY_ERROR, USAGE, CANNOT_CONNECT, NOT_AUTHORISED, TIMEOUT, INTERRUPTED = 1, 2, 3, 4, 5, 130

T = TypeVar("T")
Conversation = Callable[["GatewayClient", "Hello"], Coroutine[Any, Any, T]]


class CommandError(Exception):
    """The command cannot do what it was asked to; the message is a sentence for a person."""


def converse(options: Globals, conversation: Conversation[T]) -> T:
    """Connect, talk, hang up; returns what the conversation returned.

    What goes wrong is told on standard error and ends the process with the code for it.
    """
    # Late, so that --help and a mistyped option cost no import of Twisted.
    from clawgw.client import GatewayClient

    async def job(reactor: Any) -> T:
        client = GatewayClient(reactor, client_options(options, os.environ))
        try:
            hello = await client.connect()
            return await conversation(client, hello)
        finally:
            await client.close()

    return work(options, job)


def work(options: Globals, job: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    """Run a job on the reactor; returns what it returned.

    What goes wrong is told on standard error and ends the process with the code for it.
    """
    with told(options):
        try:
            return _run(job)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)


@contextmanager
def told(options: Globals) -> Iterator[None]:
    """What goes wrong inside is told on standard error and ends the process."""
    from clawgw.client import ClientError
    from clawgw.config import ConfigError
    from clawgw.identity import IdentityError

    try:
        yield
    except (CommandError, ClientError, ConfigError, IdentityError) as error:
        _fail(error, as_json=options.as_json)


def serve(options: Globals, job: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    """Run what ends only when it is told to; Ctrl-C and SIGTERM are its normal end.

    The job is cancelled then, and may take the time it needs to tidy up.
    """
    with told(options):
        try:
            _run(job)
        except KeyboardInterrupt:
            return


def _run(job: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on the reactor to its end; a process can do this once."""
    from twisted.internet import reactor as installed
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    reactor: Any = installed
    outcome: list[Any] = []
    interruptions: list[int] = []

    def finished(result: Any) -> None:
        outcome.append(result)
        reactor.stop()

    def start() -> None:
        running: Deferred[Any] = Deferred.fromCoroutine(job(reactor))

        def interrupted(number: int, _frame: object) -> None:
            interruptions.append(number)
            reactor.callFromThread(reactor.crash if len(interruptions) > 1 else running.cancel)

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, interrupted)
        running.addBoth(finished)

    reactor.callWhenRunning(start)
    reactor.run()
    if interruptions or not outcome:
        raise KeyboardInterrupt
    (result,) = outcome
    if isinstance(result, Failure):
        result.raiseException()
    return result  # type: ignore[no-any-return]


def _fail(error: Exception, *, as_json: bool) -> NoReturn:
    if as_json:
        print(json.dumps({"error": _as_json(error)}, ensure_ascii=False), file=sys.stderr)
    else:
        print(clean(f"clawgw: {error}"), file=sys.stderr)
        for advice in (getattr(error, "advice", None), *getattr(error, "__notes__", ())):
            if advice:
                print(clean(advice), file=sys.stderr)
    sys.exit(_exit_code(error))


def _as_json(error: Exception) -> dict[str, Any]:
    from clawgw.client import GatewayError

    if isinstance(error, GatewayError):
        return error.to_json()
    return {"code": type(error).__name__, "message": str(error)}


def _exit_code(error: Exception) -> int:
    from clawgw.client import (
        CannotConnect,
        ConnectionLost,
        ConnectRefused,
        GatewayError,
        RequestTimeout,
    )

    match error:
        case ConnectRefused():
            return NOT_AUTHORISED if error.about_credentials else CANNOT_CONNECT
        case GatewayError(code="FORBIDDEN" | "NOT_PAIRED"):
            return NOT_AUTHORISED
        case GatewayError(code="AGENT_TIMEOUT"):
            return TIMEOUT
        case GatewayError():
            # Version 3 has no code of its own for this.
            return NOT_AUTHORISED if error.message.startswith("missing scope") else GATEWAY_ERROR
        case CannotConnect() | ConnectionLost():
            return CANNOT_CONNECT
        case RequestTimeout():
            return TIMEOUT
    return USAGE
