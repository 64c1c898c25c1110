"""Channels.

`send`, `poll`, `message.action`, `channels.*`, `web.login.*` (contract), `channel.pair.*` (ours).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta

from clawgw.protocol.base import Count, Maybe, Name, Number, Open, Params, Positive

Seconds = Annotated[int, Meta(ge=1, le=604_800)]
PngUrl = Annotated[str, Meta(max_length=16_384, pattern=r"^data:image/png;base64,")]


class SendParams(Params, frozen=True):
    """`send`: a message of the operator's, or of an agent's tool."""

    to: Name
    idempotency_key: Name
    message: Maybe[str] = UNSET
    media_url: Maybe[str] = UNSET
    media_urls: Maybe[list[str]] = UNSET
    buffer: Maybe[str] = UNSET
    filename: Maybe[str] = UNSET
    content_type: Maybe[str] = UNSET
    as_voice: Maybe[bool] = UNSET
    gif_playback: Maybe[bool] = UNSET
    channel: Maybe[str] = UNSET
    account_id: Maybe[str] = UNSET
    agent_id: Maybe[str] = UNSET
    reply_to_id: Maybe[str] = UNSET
    thread_id: Maybe[str] = UNSET
    force_document: Maybe[bool] = UNSET
    silent: Maybe[bool] = UNSET
    parse_mode: Maybe[Literal["HTML"]] = UNSET
    session_key: Maybe[str] = UNSET


class PollParams(Params, frozen=True):
    """`poll`: a question with answers to choose from."""

    to: Name
    question: Name
    options: Annotated[list[Name], Meta(min_length=2, max_length=12)]
    idempotency_key: Name
    max_selections: Maybe[Annotated[int, Meta(ge=1, le=12)]] = UNSET
    duration_seconds: Maybe[Seconds] = UNSET
    duration_hours: Maybe[Positive] = UNSET
    silent: Maybe[bool] = UNSET
    is_anonymous: Maybe[bool] = UNSET
    thread_id: Maybe[str] = UNSET
    channel: Maybe[str] = UNSET
    account_id: Maybe[str] = UNSET


class ActionReply(Params, frozen=True):
    """Which message an action answers, and who says so."""

    reply_to_id: Name
    source: Literal["explicit", "implicit"]
    mode: Maybe[Literal["first", "all"]] = UNSET


class ReplyState(Params, frozen=True):
    """Whether something has been answered already."""

    value: bool


class ActionContext(Params, frozen=True):
    """Where the tool of an agent that asks for an action was called from."""

    current_channel_id: Maybe[str] = UNSET
    current_messaging_target: Maybe[str] = UNSET
    current_graph_channel_id: Maybe[str] = UNSET
    current_channel_provider: Maybe[str] = UNSET
    current_thread_ts: Maybe[str] = UNSET
    current_message_id: Maybe[str | Number] = UNSET
    reply_to_mode: Maybe[Literal["off", "first", "all", "batched"]] = UNSET
    has_replied_ref: Maybe[ReplyState] = UNSET
    same_channel_thread_required: Maybe[bool] = UNSET
    skip_cross_context_decoration: Maybe[bool] = UNSET


class MessageActionParams(Params, frozen=True):
    """`message.action`: what the stock command line sends with; `params` are the action's own."""

    channel: Name
    action: Name
    params: dict[str, Any]
    idempotency_key: Name
    reply: Maybe[ActionReply] = UNSET
    account_id: Maybe[str] = UNSET
    requester_account_id: Maybe[str] = UNSET
    requester_sender_id: Maybe[str] = UNSET
    sender_is_owner: Maybe[bool] = UNSET
    session_key: Maybe[str] = UNSET
    session_id: Maybe[str] = UNSET
    inbound_turn_kind: Maybe[Literal["user_request", "room_event"]] = UNSET
    agent_id: Maybe[str] = UNSET
    tool_context: Maybe[ActionContext] = UNSET
    conversation_read_origin: Maybe[Literal["direct-operator"]] = UNSET


class Sent(Open, frozen=True):
    """The answer to `send` and `poll`, and to `message.action` with `ok`.

    `queued`: it is safe with the Gateway and was not delivered so far.
    """

    run_id: str
    channel: str
    message_id: Maybe[str] = UNSET
    message_ids: Maybe[list[str]] = UNSET
    chat_id: Maybe[str] = UNSET
    to: Maybe[str] = UNSET
    queued: Maybe[bool] = UNSET
    ok: Maybe[bool] = UNSET


class ChannelsStatusParams(Params, frozen=True):
    """`channels.status`; with `probe` the providers are asked."""

    probe: Maybe[bool] = UNSET
    timeout_ms: Maybe[Count] = UNSET
    channel: Maybe[Name] = UNSET


class ChannelMeta(Open, frozen=True):
    """How apps show a channel."""

    id: Name
    label: Name
    detail_label: str
    system_image: Maybe[str] = UNSET


class AccountSnapshot(Open, frozen=True):
    """One account, as apps read it. Nothing here is a secret; times in milliseconds.

    `possibleDoubles`: how many messages may have arrived twice since the start.

    `canLogin`, `canLoginByCode` (ours): there is a login with a QR code; and with a code to type.
    """

    account_id: Name
    enabled: bool
    configured: bool
    running: bool
    connected: bool
    reconnect_attempts: Count
    health_state: str
    dm_policy: str
    allow_from: list[str]
    name: Maybe[str] = UNSET
    linked: Maybe[bool] = UNSET
    can_login: Maybe[bool] = UNSET
    can_login_by_code: Maybe[bool] = UNSET
    last_error: Maybe[str] = UNSET
    warning: Maybe[str] = UNSET
    possible_doubles: Maybe[Count] = UNSET
    last_connected_at: Maybe[Count] = UNSET
    last_start_at: Maybe[Count] = UNSET
    last_stop_at: Maybe[Count] = UNSET
    last_inbound_at: Maybe[Count] = UNSET
    last_outbound_at: Maybe[Count] = UNSET
    last_probe_at: Maybe[Count] = UNSET
    mode: Maybe[str] = UNSET
    base_url: Maybe[str] = UNSET
    probe: Any = UNSET


class ChannelsStatus(Open, frozen=True):
    """The answer to `channels.status`."""

    ts: Count
    channel_order: list[Name]
    channel_labels: dict[str, Name]
    channel_detail_labels: dict[str, str]
    channel_system_images: dict[str, str]
    channel_meta: list[ChannelMeta]
    channels: dict[str, Any]
    channel_accounts: dict[str, list[AccountSnapshot]]
    channel_default_account_id: dict[str, Name]


class ChannelsLogoutParams(Params, frozen=True):
    """`channels.logout`."""

    channel: Name
    account_id: Maybe[str] = UNSET


class ChannelLoggedOut(Open, frozen=True):
    """Whether there was a login, and what has to be done besides."""

    channel: str
    account_id: str
    cleared: bool
    logged_out: bool


class WebLoginStartParams(Params, frozen=True):
    """`web.login.start`; `channel` and `phone` are ours."""

    force: Maybe[bool] = UNSET
    timeout_ms: Maybe[Count] = UNSET
    verbose: Maybe[bool] = UNSET
    account_id: Maybe[str] = UNSET
    channel: Maybe[Name] = UNSET
    phone: Maybe[Name] = UNSET


class WebLoginWaitParams(Params, frozen=True):
    """`web.login.wait`; `channel` is ours."""

    timeout_ms: Maybe[Count] = UNSET
    account_id: Maybe[str] = UNSET
    current_qr_data_url: Maybe[PngUrl] = UNSET
    channel: Maybe[Name] = UNSET


class WebLogin(Open, frozen=True):
    """Where a login is. `qr`: what the picture says, for a terminal (ours)."""

    message: str
    connected: bool
    qr_data_url: Maybe[str] = UNSET
    qr: Maybe[str] = UNSET
    code: Maybe[str] = UNSET


class ChannelPairListParams(Params, frozen=True):
    """`channel.pair.list`."""

    channel: Maybe[Name] = UNSET


class ChannelPairDecisionParams(Params, frozen=True):
    """`channel.pair.approve` and `channel.pair.reject`."""

    code: Name
    channel: Maybe[Name] = UNSET


class ChannelPairRemoveParams(Params, frozen=True):
    """`channel.pair.remove`: take an approval back."""

    channel: Name
    sender: Name
    account_id: Maybe[Name] = UNSET


class ChannelStranger(Open, frozen=True):
    """Somebody who wrote to an account without being on a list; also `channel.pair.requested`."""

    channel: str
    account_id: str
    sender: str
    name: str
    ts: Count
    code: Maybe[str] = UNSET
    approved_at: Maybe[Count] = UNSET


class ChannelPairList(Open, frozen=True):
    """Who waits, and who was let in."""

    pending: list[ChannelStranger]
    approved: list[ChannelStranger]


class ChannelPairResolved(Open, frozen=True):
    """The answer to a decision, and event `channel.pair.resolved`."""

    channel: str
    account_id: str
    sender: str
    name: str
    decision: Literal["approved", "rejected", "removed"]
    ts: Count
