"""Slack's Web API: one call, and what its outcome means.

Every method is called by POST with a form, which Slack takes for all of them; lists and objects in
it are JSON. The token goes in the `Authorization` header and nowhere else. Slack refuses with
status 200 and `ok: false`, throttles with status 429 and `Retry-After`, and breaks with a status
from 500 on or one of a few error names, after which nobody knows what was done.
(https://docs.slack.dev/apis/web-api/)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from clawgw.channels.adapter import Fatal, Fault
from clawgw.channels.http import Http, HttpBadAnswer, HttpError, HttpUnreachable

CALL_SECONDS = 30.0
FIRST_WAIT = 30.0
"""Seconds to wait after a 429 without a usable `Retry-After`."""

_BROKEN = frozenset({"internal_error", "fatal_error"})
_PASSING = frozenset(
    {"service_unavailable", "request_timeout", "team_added_to_org", "org_login_required"}
)
_THROTTLED = frozenset({"ratelimited", "rate_limited"})
_TOKEN = frozenset(
    {
        "invalid_auth",
        "not_authed",
        "account_inactive",
        "token_expired",
        "token_revoked",
        "not_allowed_token_type",
        "user_removed_from_team",
        "team_access_not_granted",
        "two_factor_setup_required",
        "ekm_access_denied",
    }
)
_IN_WORDS = {
    "channel_not_found": "there is no such conversation, or the bot cannot see it",
    "not_in_channel": "the bot is not a member of the channel; invite it there",
    "is_archived": "the channel is archived",
    "user_not_found": "there is no such person in the workspace",
    "restricted_action": "the workspace does not let the bot post there",
    "messages_tab_disabled": "the app's Messages tab is off (App Home → Show Tabs)",
    "msg_too_long": "the message is too long",
    "message_not_found": "the message is no longer there",
    "file_uploads_disabled": "the workspace does not allow uploads",
    "file_upload_size_restricted": "the file is larger than the workspace allows",
    "invalid_auth": "the token is not valid",
    "account_inactive": "the app was removed from the workspace",
    "token_revoked": "the token was revoked",
    "not_allowed_token_type": "the token is of the wrong kind",
}

Json = dict[str, Any]


class SlackError(Exception):
    """A call that did not succeed; the message is for a person, without secrets."""


class NotNow(SlackError):
    """Slack has certainly not acted.

    Args:
        retry_after: seconds Slack asked to wait.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unknown(SlackError):
    """Slack may have acted, or not."""


class Refused(SlackError):
    """Slack has certainly not acted, and will not; `error` is its name for the reason."""

    def __init__(self, message: str, error: str) -> None:
        super().__init__(message)
        self.error = error


class BadToken(Refused):
    """The token is not, or no longer, good for anything."""


class SlackApi:
    """The Web API with one token.

    Args:
        http: the client; it must add no headers by itself.
        root: where the methods are, such as `https://slack.com/api`.
        token: `xoxb-…` or `xapp-…`.
    """

    def __init__(self, http: Http, root: str, token: str) -> None:
        self._http = http
        self._root = root.rstrip("/")
        self._token = token

    def __repr__(self) -> str:
        return "SlackApi()"

    @property
    def authorization(self) -> dict[str, str]:
        """The header that carries the token."""
        return {"Authorization": f"Bearer {self._token}"}

    async def call(self, method: str, *, seconds: float = CALL_SECONDS, **arguments: Any) -> Json:
        """Call a method; arguments that are None are left out.

        Args:
            seconds: the time limit.

        Raises:
            NotNow, Unknown, Refused: see there.
        """
        try:
            response = await self._http.request(
                "POST",
                f"{self._root}/{method}",
                headers=self.authorization,
                form=_form(arguments),
                timeout=seconds,
            )
            if response.status == 429:
                wait = retry_after(response.headers.get("retry-after"))
                raise NotNow(f"Slack asks to wait {wait:g} s ({method})", wait)
            if response.status >= 500:
                raise Unknown(f"Slack is in trouble: status {response.status} ({method})")
            answer = response.json()
        except HttpUnreachable as problem:
            raise NotNow(str(problem)) from None
        except HttpBadAnswer as problem:
            if problem.status == 413:
                raise Refused(str(problem), "http_413") from None
            if 400 <= problem.status < 500:  # something in between let nothing through
                raise NotNow(str(problem)) from None
            raise Unknown(str(problem)) from None
        except HttpError as problem:
            raise Unknown(str(problem)) from None
        if not isinstance(answer, dict) or not isinstance(answer.get("ok"), bool):
            raise Unknown(f"Slack's answer makes no sense ({method})")
        if not answer["ok"]:
            raise refusal(method, answer)
        return answer


def refusal(method: str, answer: Mapping[str, Any]) -> SlackError:
    """What an answer with `ok: false` means."""
    error = answer.get("error")
    name = error if isinstance(error, str) and error.isidentifier() else "an unknown error"
    if name in _BROKEN:
        return Unknown(f"Slack says: {name} ({method})")
    if name in _THROTTLED:
        return NotNow(f"Slack asks to wait ({method})", FIRST_WAIT)
    if name in _PASSING:
        return NotNow(f"Slack says: {name} ({method})")
    if name == "missing_scope":
        needed = str(answer.get("needed") or "another scope")[:200]
        return Refused(
            f"the app lacks the scope {needed} for {method}; "
            "add it under OAuth & Permissions and install the app again",
            name,
        )
    words = f"Slack says: {_IN_WORDS.get(name, name)} ({name}, {method})"
    return BadToken(words, name) if name in _TOKEN else Refused(words, name)


def as_fault(problem: SlackError, token: str) -> Fault:
    """Why there is no connection.

    Args:
        token: the key of the token that was refused, if it was.
    """
    if isinstance(problem, Refused):
        return Fatal(f"{token}: {problem}")
    return Fault(str(problem), problem.retry_after if isinstance(problem, NotNow) else None)


def retry_after(value: str | None) -> float:
    """Seconds of a `Retry-After` header, at least one and at most an hour."""
    try:
        return min(max(float(value or ""), 1.0), 3600.0)
    except ValueError:
        return FIRST_WAIT


def _form(arguments: Mapping[str, Any]) -> dict[str, str]:
    return {name: _field(value) for name, value in arguments.items() if value is not None}


def _field(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
