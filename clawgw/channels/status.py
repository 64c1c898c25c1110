"""How the channels are doing, as `channels.status`, `health` and `status` tell it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import UNSET

from clawgw.channels.account import Account, AccountId
from clawgw.channels.hub import default_of
from clawgw.channels.providers import PROVIDERS, Configured
from clawgw.protocol import channels as wire


def status_of(
    accounts: Iterable[Account],
    configured: Iterable[Configured],
    now_ms: int,
    probes: Mapping[AccountId, dict[str, Any]],
    problems: Mapping[AccountId, str],
) -> wire.ChannelsStatus:
    """The answer to `channels.status`.

    Args:
        configured: all accounts of the configuration, those that are switched off too.
        probes: what the providers answered, by account.
        problems: why there is no account of what is configured and switched on.
    """
    running = {account.id: account for account in accounts}
    by_channel: dict[str, list[wire.AccountSnapshot]] = {}
    for one in configured:
        names = (one.provider.id, one.name)
        account = running.get(names)
        row = (
            _absent(one, problems.get(names))
            if account is None
            else snapshot(account, now_ms, probes.get(names))
        )
        by_channel.setdefault(one.provider.id, []).append(row)
    shown = [provider for provider in PROVIDERS if provider.id in by_channel]
    return wire.ChannelsStatus(
        ts=now_ms,
        channel_order=[provider.id for provider in shown],
        channel_labels={provider.id: provider.label for provider in shown},
        channel_detail_labels={provider.id: provider.detail for provider in shown},
        channel_system_images={provider.id: provider.image for provider in shown},
        channel_meta=[
            wire.ChannelMeta(
                id=provider.id,
                label=provider.label,
                detail_label=provider.detail,
                system_image=provider.image,
            )
            for provider in shown
        ],
        channels={channel: _summary(rows) for channel, rows in by_channel.items()},
        channel_accounts=by_channel,
        channel_default_account_id={
            channel: _default(channel, rows, running) for channel, rows in by_channel.items()
        },
    )


def snapshot(
    account: Account, now_ms: int, probe: dict[str, Any] | None = None
) -> wire.AccountSnapshot:
    """One account."""
    status, settings = account.status, account.settings
    return wire.AccountSnapshot(
        account_id=account.name,
        name=settings.name or status.details.get("name") or UNSET,
        enabled=True,
        configured=account.missing is None,
        linked=_linked(account),
        can_login=account.adapter.capabilities.login or UNSET,
        can_login_by_code=account.adapter.capabilities.login_by_code or UNSET,
        running=status.running,
        connected=status.connected,
        reconnect_attempts=status.reconnect_attempts,
        health_state=status.health,
        dm_policy=account.policy.dm,
        allow_from=sorted(account.policy.allow_from),
        last_error=status.last_error or UNSET,
        warning=status.warning or UNSET,
        possible_doubles=account.courier.doubles or UNSET,
        last_connected_at=status.last_connected_at or UNSET,
        last_start_at=status.last_start_at or UNSET,
        last_stop_at=status.last_stop_at or UNSET,
        last_inbound_at=status.last_inbound_at or UNSET,
        last_outbound_at=status.last_outbound_at or UNSET,
        last_probe_at=now_ms if probe is not None else UNSET,
        mode=status.details.get("mode", UNSET),
        probe=probe if probe is not None else UNSET,
    )


def health_of(accounts: Iterable[Account], now_ms: int) -> dict[str, Any]:
    """`channels` of `health`: per channel its default account, and all of them."""
    by_channel: dict[str, list[Account]] = {}
    for account in accounts:
        by_channel.setdefault(account.channel, []).append(account)
    return {
        channel: {
            **_summary([snapshot(default_of(mine), now_ms)]),
            "accounts": {one.name: _summary([snapshot(one, now_ms)]) for one in mine},
        }
        for channel, mine in by_channel.items()
    }


def summary_lines(accounts: Iterable[Account]) -> list[str]:
    """One line for each account, for `status`."""
    return [f"{account.provider.label} ({account.name}): {words(account)}" for account in accounts]


def words(account: Account) -> str:
    """How an account is doing, for a person."""
    status = account.status
    if account.missing is not None:
        return f"not configured: {account.missing}"
    if status.connected:
        return f"connected{', but ' + status.warning if status.warning else ''}"
    if status.last_error:
        return f"{status.health}: {status.last_error}"
    return status.health


def _summary(rows: list[wire.AccountSnapshot]) -> dict[str, Any]:
    """What apps read of a channel as a whole: its first account."""
    row = rows[0]
    found = {
        "configured": any(one.configured for one in rows),
        "running": any(one.running for one in rows),
        "connected": any(one.connected for one in rows),
        "linked": row.linked,
        "lastError": row.last_error,
        "lastStartAt": row.last_start_at,
        "lastStopAt": row.last_stop_at,
        "lastConnectedAt": row.last_connected_at,
        "lastInboundAt": row.last_inbound_at,
        "lastOutboundAt": row.last_outbound_at,
        "lastProbeAt": row.last_probe_at,
        "reconnectAttempts": row.reconnect_attempts,
        "probe": row.probe,
    }
    return {name: value for name, value in found.items() if value is not UNSET}


def _linked(account: Account) -> Any:
    """Whether there is a login, for channels that have one."""
    if not account.adapter.capabilities.login:
        return UNSET
    return account.status.health != "logged-out" and account.missing is None


def _absent(one: Configured, problem: str | None) -> wire.AccountSnapshot:
    """An account that is switched off, or could not be made."""
    policy = one.settings.policy()
    return wire.AccountSnapshot(
        account_id=one.name,
        enabled=one.settings.enabled,
        configured=True,
        running=False,
        connected=False,
        reconnect_attempts=0,
        health_state="failed" if problem else "stopped",
        dm_policy=policy.dm,
        allow_from=sorted(policy.allow_from),
        last_error=problem or UNSET,
    )


def _default(
    channel: str,
    rows: list[wire.AccountSnapshot],
    running: dict[tuple[str, str], Account],
) -> str:
    mine = [account for names, account in running.items() if names[0] == channel]
    return default_of(mine).name if mine else rows[0].account_id
