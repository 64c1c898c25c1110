"""Approving or rejecting one of those who wait, devices and nodes alike.

Without a request id it is the only one that waits; if several do, they are listed and the command
ends as one that was not used rightly, because a script must not approve by luck.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from clawgw.cli.gateway import ask, pointing_to, rows
from clawgw.cli.output import note, print_json
from clawgw.cli.runner import USAGE, converse
from clawgw.cli.settings import Globals

if TYPE_CHECKING:
    from clawgw.client import GatewayClient, Hello

Row = dict[str, Any]
LISTS = {"device": "clawgw devices list", "node": "clawgw nodes pending"}
"""The commands that list those who wait."""


def approve_request(
    options: Globals, kind: str, request_id: str | None, show: Callable[[list[Row]], None]
) -> Any:
    """Approve a request; returns the Gateway's answer, None if none waits.

    Args:
        kind: `device` or `node`.
        request_id: which; None for the only one.
        show: prints those who wait, for a person.

    Raises:
        SystemExit: several wait.
    """

    async def conversation(client: GatewayClient, _hello: Hello) -> tuple[Any, list[Row]]:
        chosen = request_id
        if chosen is None:
            listing = await client.request(f"{kind}.pair.list", timeout=options.timeout)
            waiting = rows(listing, "pending")
            if len(waiting) != 1:
                return None, waiting
            chosen = str(waiting[0].get("requestId"))
        params = {"requestId": chosen}
        with pointing_to(LISTS[kind]):
            answer = await client.request(f"{kind}.pair.approve", params, timeout=options.timeout)
        return answer, []

    result, waiting = converse(options, conversation)
    if result is None:
        _say_who_waits(options, kind, waiting, show)
    return result


def reject_request(options: Globals, kind: str, request_id: str) -> None:
    """Refuse a request, of a `device` or a `node`."""
    params = {"requestId": request_id}
    result = ask(options, f"{kind}.pair.reject", params, listed=LISTS[kind])
    if options.as_json:
        print_json(result)
    else:
        print("Rejected.")


def _say_who_waits(
    options: Globals, kind: str, waiting: list[Row], show: Callable[[list[Row]], None]
) -> None:
    if options.as_json:
        print_json({"pending": waiting})
    elif waiting:
        show(waiting)
    else:
        print(f"No {kind} waits for approval.")
    if waiting:
        note(f"Several {kind}s wait; say which: clawgw {kind}s approve REQUEST_ID")
        sys.exit(USAGE)
