"""What a Web API request must look like, so that the fake can check every one that is made.

Two sources. ``methods.json`` is cut from Slack's published specification (see ``extract.py``). It
has stood still since 2020, so ``NEWER`` adds the methods and arguments that Slack's reference pages
document since. An argument that neither knows is a fault of the caller here, even where Slack
itself would only warn.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_COMMON_ERRORS = ("not_authed", "invalid_auth", "account_inactive", "token_revoked",
    "missing_scope", "not_allowed_token_type", "invalid_arguments", "ratelimited",
    "internal_error", "fatal_error", "service_unavailable")  # fmt: skip
"""Errors that the reference pages list under every method."""

NEWER: dict[str, dict[str, Any]] = {
    # https://docs.slack.dev/reference/methods/<name>
    "apps.connections.open": {
        "verb": "post", "arguments": {}, "required": [], "errors": ["insecure_request"],
    },
    "assistant.threads.setStatus": {
        "verb": "post",
        "arguments": {"channel_id": "string", "thread_ts": "string", "status": "string",
            "loading_messages": "json"},
        "required": ["channel_id", "thread_ts", "status"],
        "errors": ["channel_not_found", "invalid_thread_ts",
            "method_not_supported_for_channel_type"],
    },
    "files.getUploadURLExternal": {
        "verb": "get",
        "arguments": {"filename": "string", "length": "integer", "alt_txt": "string",
            "snippet_type": "string"},
        "required": ["filename", "length"],
        "errors": ["file_upload_size_restricted", "file_uploads_disabled"],
    },
    "files.completeUploadExternal": {
        "verb": "post",
        "arguments": {"files": "json", "channel_id": "string", "channels": "string",
            "thread_ts": "string", "initial_comment": "string", "blocks": "json"},
        "required": ["files"],
        "errors": ["channel_not_found", "file_not_found", "file_update_failed", "invalid_channel",
            "not_in_channel", "is_archived"],
    },
    "chat.postMessage": {
        "arguments": {"metadata": "json", "blocks": "json", "attachments": "json",
            "markdown_text": "string"},
        "errors": ["invalid_blocks", "invalid_metadata_format", "metadata_too_large",
            "metadata_must_be_sent_from_app", "cannot_reply_to_message", "restricted_action",
            "messages_tab_disabled"],
    },
    "chat.update": {
        "arguments": {"metadata": "json", "blocks": "json", "attachments": "json",
            "markdown_text": "string"},
        "errors": ["invalid_blocks", "invalid_metadata_format"],
    },
    "chat.delete": {"required": ["channel", "ts"]},
    "conversations.history": {
        "arguments": {"include_all_metadata": "boolean"},
        "required": ["channel"],
        "errors": ["invalid_cursor", "not_in_channel"],
    },
    "conversations.replies": {
        "arguments": {"include_all_metadata": "boolean"},
        "required": ["channel", "ts"],
        "errors": ["invalid_cursor", "not_in_channel"],
    },
    "conversations.info": {"required": ["channel"]},
    "files.info": {"required": ["file"]},
    "users.info": {"required": ["user"]},
}  # fmt: skip


@dataclass(frozen=True)
class Method:
    """One method: its arguments with their types, which must be there, and its errors."""

    name: str
    verb: str
    arguments: dict[str, str]
    required: frozenset[str]
    errors: frozenset[str]

    def faults(self, given: dict[str, Any]) -> list[str]:
        """What is wrong with these arguments, in the words of ``response_metadata.messages``."""
        found = [f"missing required field: {name}" for name in sorted(self.required - set(given))]
        for name, value in given.items():
            kind = self.arguments.get(name)
            if kind is None:
                found.append(f"no such argument: {name}")
            elif not _is(kind, value):
                found.append(f"must be of type {kind}: {name}")
        return [f"[ERROR] {fault}" for fault in found]


def load() -> dict[str, Method]:
    """Every method the fake answers, by name."""
    stored = json.loads(Path(__file__).with_name("methods.json").read_text("utf-8"))["methods"]
    return {name: _merged(name, stored.get(name, {})) for name in {*stored, *NEWER}}


def _merged(name: str, old: dict[str, Any]) -> Method:
    new = NEWER.get(name, {})
    arguments = {**old.get("arguments", {}), **new.get("arguments", {})}
    arguments.pop("token", None)  # checked apart: it belongs in the Authorization header
    return Method(
        name=name,
        verb=old.get("verb") or new["verb"],
        arguments=arguments,
        required=frozenset([*old.get("required", ()), *new.get("required", ())]) - {"token"},
        errors=frozenset([*old.get("errors", ()), *new.get("errors", ()), *_COMMON_ERRORS]),
    )


def _is(kind: str, value: Any) -> bool:
    """Whether a form's text, or a JSON body's value, is of this type."""
    if kind == "json":
        return _is_json(value)
    if isinstance(value, str):
        return {
            "boolean": value.lower() in ("true", "false", "1", "0"),
            "integer": bool(re.fullmatch(r"\d+", value)),
            "number": bool(re.fullmatch(r"\d+(\.\d+)?", value)),
        }.get(kind, True)
    if isinstance(value, bool):
        return kind == "boolean"
    return kind in ("integer", "number") and isinstance(value, int)


def _is_json(value: Any) -> bool:
    if not isinstance(value, str):
        return isinstance(value, dict | list)
    try:
        return isinstance(json.loads(value), dict | list)
    except ValueError:
        return False
