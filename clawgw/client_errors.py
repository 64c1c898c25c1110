"""What can go wrong between a client and its Gateway, in words for the person at the client.

Every text says what happened and, where there is something to do, what to do. None contains a
token, a password or a key.

``ClientError``
    ``OptionsError``        the options contradict each other; nothing was sent
    ``CannotConnect``       no conversation came about; no credential was sent
        ``CertificateProblem``   the Gateway's certificate is not one we accept
            ``TlsNameMismatch``  …because it is for another name
            ``PinMismatch``      …because it is not the pinned one
    ``ConnectionLost``      the connection ended, or there is none at the moment
    ``RequestTimeout``      the Gateway did not answer a request in time
    ``GatewayError``        the Gateway answered with an error
        ``ConnectRefused``  …to the ``connect`` request itself
"""

from __future__ import annotations

from typing import Any, Self

__all__ = [
    "CannotConnect",
    "CertificateProblem",
    "ClientError",
    "ConnectRefused",
    "ConnectionLost",
    "GatewayError",
    "OptionsError",
    "PinMismatch",
    "RequestTimeout",
    "TlsNameMismatch",
]


class ClientError(Exception):
    """Anything this client library reports."""


class OptionsError(ClientError, ValueError):
    """The connection options cannot be used as given."""


class CannotConnect(ClientError):
    """The connection, TLS or the WebSocket upgrade did not come about."""


class CertificateProblem(CannotConnect):
    """The Gateway's certificate (or ours) was not accepted."""


class TlsNameMismatch(CertificateProblem):
    """The Gateway's certificate was issued for another host name."""


class PinMismatch(CertificateProblem):
    """The Gateway's certificate is not the pinned one."""

    def __init__(self, address: str, expected: str, seen: str) -> None:
        super().__init__(
            f"The certificate of {address} is not the one you pinned, so nothing was sent. It is "
            f"{seen}, the pin is {expected}. If you changed the Gateway's certificate yourself, "
            "pin the new fingerprint; if not, something else is answering at this address."
        )
        self.expected = expected
        self.seen = seen


class ConnectionLost(ClientError):
    """The connection is gone. ``code`` is the WebSocket close code, when there was one."""

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class RequestTimeout(ClientError):
    """No answer came in time; whether the Gateway acted on the request is not known."""

    def __init__(self, method: str, seconds: float) -> None:
        super().__init__(f"The Gateway did not answer {method} within {seconds:g} s.")
        self.method = method
        self.seconds = seconds


class GatewayError(ClientError):
    """An error response, field by field as the Gateway sent it.

    ``payload`` is what came beside the error: the state of a run that failed after it was accepted.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        details: Any = None,
        retryable: bool | None = None,
        retry_after_ms: int | None = None,
        payload: Any = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
        self.retryable = retryable
        self.retry_after_ms = retry_after_ms
        self.payload = payload

    @property
    def detail_code(self) -> str | None:
        """``details.code``, the machine-readable reason, where there is one."""
        code = self.details.get("code") if isinstance(self.details, dict) else None
        return code if isinstance(code, str) else None

    @classmethod
    def from_wire(cls, error: Any, payload: Any = None) -> Self:
        """Read the ``error`` of a response frame; whatever is missing or odd is left out."""
        fields: dict[str, Any] = error if isinstance(error, dict) else {}
        code, message = fields.get("code"), fields.get("message")
        retryable, after = fields.get("retryable"), fields.get("retryAfterMs")
        return cls(
            code if isinstance(code, str) and code else "UNAVAILABLE",
            message if isinstance(message, str) and message else "the Gateway gave no reason",
            details=fields.get("details"),
            retryable=retryable if isinstance(retryable, bool) else None,
            retry_after_ms=int(after) if isinstance(after, (int, float)) and after >= 0 else None,
            payload=payload,
        )

    def to_json(self) -> dict[str, Any]:
        """The error as the wire spells it."""
        fields = {
            "code": self.code,
            "message": self.message,
            "details": self.details,
            "retryable": self.retryable,
            "retryAfterMs": self.retry_after_ms,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def __str__(self) -> str:
        return f"{self.message} ({self.detail_code or self.code})"


class ConnectRefused(GatewayError):
    """The Gateway refused the ``connect`` request."""

    @property
    def about_credentials(self) -> bool:
        """True when a token, a password, a signature or a missing pairing is the reason."""
        code = self.detail_code or ""
        return (
            code.startswith(("AUTH_", "DEVICE_"))
            or code == "PAIRING_REQUIRED"
            or self.code in {"NOT_PAIRED", "UNAUTHORIZED", "FORBIDDEN"}
            # Version 3 has no detail code; it says so in words.
            or self.message.startswith("unauthorized")
        )

    @property
    def needs_pairing(self) -> bool:
        """True when an operator has to approve this device first."""
        return self.detail_code == "PAIRING_REQUIRED" or self.code == "NOT_PAIRED"

    @property
    def pairing_request_id(self) -> str | None:
        """The id of the pairing request the Gateway opened for us, if it told us."""
        found = self.details.get("requestId") if isinstance(self.details, dict) else None
        return found if isinstance(found, str) else None

    @property
    def advice(self) -> str | None:
        """What the person at the client can do about it, or None."""
        if self.needs_pairing:
            which = self.pairing_request_id
            command = f"clawgw devices approve {which}" if which else "clawgw devices approve"
            return f"On the Gateway's host, approve this device: {command}"
        return _ADVICE.get(self.detail_code or "")


_ADVICE = {
    "AUTH_REQUIRED": "Give the Gateway's token with --token or CLAWGW_GATEWAY_TOKEN.",
    "AUTH_TOKEN_MISSING": "Give the Gateway's token with --token or CLAWGW_GATEWAY_TOKEN.",
    "AUTH_TOKEN_MISMATCH": "The token is not this Gateway's; compare it with gateway.auth.token.",
    "AUTH_TOKEN_NOT_CONFIGURED": "The Gateway has no token; it takes a password, or nothing.",
    "AUTH_PASSWORD_MISSING": "Give the Gateway's password with --password.",
    "AUTH_PASSWORD_MISMATCH": "The password is not this Gateway's.",
    "AUTH_BOOTSTRAP_TOKEN_INVALID": "The setup code is used or out of date; ask for a new one.",
    "AUTH_RATE_LIMITED": "There were too many failed attempts; wait a little and try again.",
    "DEVICE_AUTH_SIGNATURE_EXPIRED": "The clocks differ too much; set this machine's clock.",
    "PROTOCOL_MISMATCH": "Client and Gateway speak different versions; update the older one.",
}
