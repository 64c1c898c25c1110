"""The text form of a certificate's SHA-256 fingerprint, the thing people copy to pin a peer.

We write ``sha256:`` and 64 lower-case hex digits. We read whatever the common tools print:
with or without the prefix, in either case, with or without colons (``openssl x509 -fingerprint``
prints ``SHA256 Fingerprint=AB:CD:…``; paste what follows the ``=``).
"""

from __future__ import annotations

import hashlib
import re

__all__ = ["fingerprint_of_der", "parse_fingerprint"]

_PREFIX = "sha256:"
_HEX = re.compile(r"[0-9a-f]{64}")


def fingerprint_of_der(der: bytes) -> str:
    """The fingerprint text of a certificate given in DER."""
    return _PREFIX + hashlib.sha256(der).hexdigest()


def parse_fingerprint(text: str) -> str:
    """Bring a fingerprint a person typed into the one form we compare.

    :raises ValueError: with a sentence that says what was expected.
    """
    digits = text.strip().lower().removeprefix(_PREFIX).replace(":", "")
    if not _HEX.fullmatch(digits):
        raise ValueError(
            "a certificate fingerprint is the SHA-256 of the certificate as 64 hex digits, for "
            f"example sha256:9f86d0…; this has {len(digits)} characters: {text.strip()[:80]!r}"
        )
    return _PREFIX + digits
