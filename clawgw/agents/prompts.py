"""Prompts: what a person sent, as it waits in the store and as the agent gets it.

A prompt is stored with its run, attachments and all, until the run has ended. The agent gets it as
ACP content blocks. What the agent cannot take is refused before the run begins, in words.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from clawgw.agents.acp import AgentUnavailable, Capabilities
from clawgw.protocol.agents import Attachment
from clawgw.protocol.base import given
from clawgw.protocol.errors import invalid

# As announced in `hello-ok.policy.attachments`.
MAX_ATTACHMENT_BYTES = 18 * 1024 * 1024
MAX_IMAGE_BYTES = 6 * 1024 * 1024


class File(msgspec.Struct, frozen=True, omit_defaults=True):
    """An attached file: `data` is base64; or, of a file that is kept, `path` is where."""

    name: str
    mime_type: str
    data: str = ""
    path: str = ""


class Prompt(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one run is asked. `timeout_ms` 0 means no limit, None the configured one."""

    text: str
    files: tuple[File, ...] = ()
    context: str | None = None
    thinking: str | None = None
    model: str | None = None
    timeout_ms: int | None = None


def files_of(attachments: Sequence[Attachment]) -> tuple[File, ...]:
    """The files a client attached. They may be large: not for the reactor.

    Raises:
        RequestError: one is no base64, or too large; the message names which.
    """
    return tuple(_file(number, one) for number, one in enumerate(attachments))


def _file(number: int, attachment: Attachment) -> File:
    content = given(attachment.content, None)
    if not isinstance(content, str):
        raise invalid(f"attachments/{number}/content: expected base64 text")
    mime_type = given(attachment.mime_type, "") or "application/octet-stream"
    if content.startswith("data:"):
        head, _, content = content.partition(",")
        if not head.endswith(";base64"):
            raise invalid(f"attachments/{number}/content: expected base64 text")
        mime_type = head[5:].partition(";")[0] or mime_type
    most = MAX_IMAGE_BYTES if mime_type.startswith("image/") else MAX_ATTACHMENT_BYTES
    if len(content) * 3 // 4 > most:
        raise invalid(f"attachments/{number}: larger than {most} bytes")
    try:
        base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise invalid(f"attachments/{number}/content: expected base64 text") from None
    name = given(attachment.file_name, "") or f"attachment-{number + 1}"
    return File(name=name[:200], mime_type=mime_type[:100], data=content)


def blocks(prompt: Prompt, can: Capabilities) -> list[dict[str, Any]]:
    """The prompt as ACP content blocks.

    Raises:
        AgentUnavailable: the agent does not take a file of this kind.
    """
    content: list[dict[str, Any]] = []
    if prompt.context:
        content.append({"type": "text", "text": prompt.context})
    if prompt.text:
        content.append({"type": "text", "text": prompt.text})
    content += [_file_block(file, can) for file in prompt.files]
    return content


def has_paths(prompt: Prompt) -> bool:
    """Whether files of a prompt have to be read before the agent gets it."""
    return any(file.path for file in prompt.files)


def with_files_read(prompt: Prompt, can: Capabilities) -> Prompt:
    """The prompt with those kept files read that the agent can be given. Not for the reactor.

    What it takes no files of, is gone, or is too large, it gets the path of.
    """
    files = tuple(_read(file, can) if file.path else file for file in prompt.files)
    return msgspec.structs.replace(prompt, files=files)


def _read(file: File, can: Capabilities) -> File:
    kind = file.mime_type.partition("/")[0]
    wanted = (kind == "image" and can.images) or (kind == "audio" and can.audio)
    if not wanted:
        return file
    most = MAX_IMAGE_BYTES if kind == "image" else MAX_ATTACHMENT_BYTES
    try:
        content = Path(file.path).read_bytes()
    except OSError:
        return file
    if len(content) > most:
        return file
    return msgspec.structs.replace(file, data=base64.b64encode(content).decode())


def _file_block(file: File, can: Capabilities) -> dict[str, Any]:
    if file.path and not file.data:
        return {"type": "text", "text": f"[{file.mime_type} attached: {file.path}]"}
    kind = file.mime_type.partition("/")[0]
    if kind == "image" and can.images:
        return {"type": "image", "mimeType": file.mime_type, "data": file.data}
    if kind == "audio" and can.audio:
        return {"type": "audio", "mimeType": file.mime_type, "data": file.data}
    if kind in ("image", "audio") or not can.embedded_context:
        raise AgentUnavailable(
            f"this agent takes no {kind if kind in ('image', 'audio') else 'file'} attachments; "
            f"{file.name} was not sent"
        )
    resource: dict[str, Any] = {"uri": f"attachment:///{file.name}", "mimeType": file.mime_type}
    if kind == "text" or file.mime_type in ("application/json", "application/xml"):
        text = base64.b64decode(file.data).decode("utf-8", "replace")
        return {"type": "resource", "resource": {**resource, "text": text}}
    return {"type": "resource", "resource": {**resource, "blob": file.data}}


def hints(prompt: Prompt) -> dict[str, Any]:
    """What goes into `_meta.clawgw` of the prompt."""
    said = {"model": prompt.model, "thinking": prompt.thinking}
    return {name: value for name, value in said.items() if value}
