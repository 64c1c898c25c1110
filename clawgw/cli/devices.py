"""``clawgw devices``: who may connect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from clawgw.cli.gateway import as_object, ask, part, rows
from clawgw.cli.output import ago, clean, facts, print_json, table
from clawgw.cli.pairing import LISTS, approve_request, reject_request
from clawgw.cli.settings import Globals

if TYPE_CHECKING:
    pass

Row = dict[str, Any]


@click.group()
def devices() -> None:
    """Approve devices, and manage those that are."""


@devices.command("list")
@click.pass_obj
def list_devices(options: Globals) -> None:
    """List the devices that wait for approval and those that have it."""
    result = ask(options, "device.pair.list")
    if options.as_json:
        print_json(result)
        return
    pending, paired = rows(result, "pending"), rows(result, "paired")
    if pending:
        _show_pending(pending)
        print()
    if paired:
        _show_paired(paired)
    if not (pending or paired):
        print("There are no devices.")


@devices.command()
@click.argument("request_id", required=False)
@click.pass_obj
def approve(options: Globals, request_id: str | None) -> None:
    """Approve the device that asked with REQUEST_ID.

    Without it, the only device that waits; if several wait they are listed.
    """
    result = approve_request(options, "device", request_id, _show_pending)
    if result is None:
        return
    if options.as_json:
        print_json(result)
    else:
        print(clean(f"Approved {_name(part(result, 'device'))}".rstrip() + "."))


@devices.command()
@click.argument("request_id")
@click.pass_obj
def reject(options: Globals, request_id: str) -> None:
    """Refuse the device that asked with REQUEST_ID."""
    reject_request(options, "device", request_id)


@devices.command()
@click.argument("device_id")
@click.option("--role", default="operator", show_default=True, help="Whose token.")
@click.option("--scope", "scopes", multiple=True, help="What the new token may do (repeatable).")
@click.pass_obj
def rotate(options: Globals, device_id: str, role: str, scopes: tuple[str, ...]) -> None:
    """Replace the token of a device; the old one stops working at once."""
    params: dict[str, Any] = {"deviceId": device_id, "role": role}
    if scopes:
        params["scopes"] = list(scopes)
    result = ask(options, "device.token.rotate", params, listed=LISTS["device"])
    if options.as_json:
        print_json(result)
        return
    rotated = as_object(result)
    facts(
        [
            ("Device", rotated.get("deviceId")),
            ("Role", rotated.get("role")),
            ("Scopes", rotated.get("scopes")),
            ("Token", rotated.get("token") or "given to the device when it connects next"),
        ]
    )


@devices.command()
@click.argument("device_id")
@click.option("--role", default="operator", show_default=True, help="Whose token.")
@click.pass_obj
def revoke(options: Globals, device_id: str, role: str) -> None:
    """Take the token of a device away; it has to be approved again."""
    params = {"deviceId": device_id, "role": role}
    result = ask(options, "device.token.revoke", params, listed=LISTS["device"])
    if options.as_json:
        print_json(result)
    else:
        print("Revoked.")


def _show_pending(waiting: list[Row]) -> None:
    table(
        ["Request", "Device", "Name", "Role", "Scopes", "From", "Asked"],
        [
            [
                row.get("requestId"),
                str(row.get("deviceId", ""))[:12],
                _name(row),
                row.get("role"),
                row.get("scopes"),
                row.get("remoteIp"),
                ago(row.get("ts")),
            ]
            for row in waiting
        ],
        title="Waiting for approval",
    )


def _show_paired(approved: list[Row]) -> None:
    table(
        ["Device", "Name", "Roles", "Scopes", "Connected", "Last seen"],
        [
            [
                row.get("deviceId"),
                _name(row),
                row.get("roles"),
                row.get("scopes"),
                row.get("connected"),
                ago(row.get("lastSeenAtMs")),
            ]
            for row in approved
        ],
        title="Approved",
    )


def _name(row: Row) -> str:
    """What a device calls itself; granted nothing for it."""
    return str(row.get("displayName") or row.get("clientId") or row.get("platform") or "")
