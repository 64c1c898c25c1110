"""A pressed button: what came of it, in words for whoever pressed it."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, TimeoutError

from clawgw.channels.adapter import Host
from clawgw.channels.messages import Press

PRESS_SECONDS = 10.0
"""Messages that follow a press may wait for it, but not for longer."""


async def outcome(host: Host, press: Press) -> str:
    """Have a press acted on; returns what to say.

    Whatever goes wrong is an answer, too: nobody is left looking at a button that does nothing, and
    nothing that comes after it is held up.
    """
    work = Deferred.fromCoroutine(host.pressed(press))
    work.addTimeout(PRESS_SECONDS, host.reactor)
    try:
        return await work
    except CancelledError:
        raise
    except TimeoutError:
        return "That takes too long; please try again."
    except Exception:  # noqa: BLE001 - see above; the log has the rest
        host.log.failure("a pressed button had no effect")
        return "That did not work; please try again."
