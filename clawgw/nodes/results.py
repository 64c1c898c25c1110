"""What a node answered, on its way to whoever asked.

A result is kept as the very bytes of the node's `node.invoke.result` parameters, also in the store.
The answer is put together around them: the node's value is checked to be JSON and copied into
place, never built. A value that came as a string (`payloadJSON`) goes out both ways, as clients of
both versions expect.

What went wrong is told in each version's words (recorded from 2026.1.30 and 2026.9.6).
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Raw

from clawgw.methods import Spliced
from clawgw.protocol.base import given
from clawgw.protocol.errors import RequestError, unavailable
from clawgw.protocol.frames import encode
from clawgw.protocol.nodes import NodeFailure, NodeInvokeResultParams

_decode = msgspec.json.Decoder(NodeInvokeResultParams).decode
_any_json = msgspec.json.Decoder(Raw).decode
_string = msgspec.json.Decoder(str).decode

NULL = b"null"


def failed(invoke_id: str, node_id: str, code: str, message: str) -> NodeInvokeResultParams:
    """The result of an invocation that the node did not end itself."""
    return NodeInvokeResultParams(
        id=invoke_id, node_id=node_id, ok=False, error=NodeFailure(code=code, message=message)
    )


def to_store(result: NodeInvokeResultParams) -> bytes:
    """A result as the store keeps it."""
    return encode(result)


def from_store(stored: bytes) -> NodeInvokeResultParams:
    """A result that was kept."""
    return _decode(stored)


def answer(node_id: str, command: str, result: NodeInvokeResultParams, version: int) -> Spliced:
    """The answer to `node.invoke`.

    Args:
        version: the protocol version of the asker.

    Raises:
        RequestError: `UNAVAILABLE`, with what the node said.
    """
    if not result.ok:
        raise refusal(given(result.error, None) or NodeFailure(), version, dispatched=True)
    payload, text = _payload(result)
    return Spliced(
        (
            b'{"ok":true,"nodeId":%b,"command":%b,"payload":' % (encode(node_id), encode(command)),
            payload,
            b',"payloadJSON":',
            text,
            b"}",
        )
    )


def _payload(result: NodeInvokeResultParams) -> tuple[Any, Any]:
    """The value and the string of it, both as JSON; null where there is none."""
    value = NULL if result.payload is UNSET else result.payload
    text = NULL if result.payload_json is UNSET else result.payload_json
    if bytes(memoryview(text)[:1]) != b'"':
        return (text, NULL) if memoryview(value) == NULL else (value, NULL)
    try:
        inside = _string(text)
        return (_any_json(inside), text) if inside else (value, text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b'{"payloadJSON":%b}' % bytes(text), text


def refusal(error: NodeFailure, version: int, *, dispatched: bool) -> RequestError:
    """What went wrong on the way or at the node.

    Args:
        dispatched: whether the node had been asked.
    """
    code = given(error.code, "")
    message = given(error.message, "node invoke failed")
    details: dict[str, Any] = {"nodeError": msgspec.to_builtins(error) or None}
    if code == "NOT_CONNECTED":
        details["code"] = code
    if version < 4:
        return unavailable(message, **details)
    details["nodeCommandDispatched"] = dispatched
    worded = f"{code}: {message}" if code and dispatched else message
    return unavailable(worded, **details)
