"""Token keys, device tokens, comparing secrets."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from clawgw.store.devices import Grant
from clawgw.trust.connect import Attempt, Secrets
from clawgw.trust.devices import IssuedToken
from clawgw.trust.signatures import SignedFields
from clawgw.trust.tokens import TokenMint, hash_token, load_token_key, new_salt, same_secret
from tests.support.memory import Device, connect_params, token_auth
from tests.trust.admission import LOCAL, SECRETS, TOKEN, grant


class Keys(SynchronousTestCase):
    """The key file of a state directory."""

    def setUp(self) -> None:
        directory = Path(self.mktemp())
        directory.mkdir()
        self.path = directory / "device-token.key"

    def test_made_once_for_its_owner_only(self) -> None:
        old = os.umask(0)
        try:
            first = load_token_key(self.path)
        finally:
            os.umask(old)
        self.assertEqual(load_token_key(self.path), first)
        self.assertEqual(len(first), 32)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual([entry.name for entry in self.path.parent.iterdir()], [self.path.name])

    def test_every_directory_has_its_own(self) -> None:
        other = self.path.with_name("other.key")
        self.assertNotEqual(load_token_key(self.path), load_token_key(other))

    def test_a_half_written_one_left_by_a_crash_does_not_matter(self) -> None:
        self.path.with_name(f"{self.path.name}.{os.getpid()}.new").write_bytes(b"half")
        self.assertEqual(len(load_token_key(self.path)), 32)

    def test_another_file(self) -> None:
        for content in (b"", b"x" * 31, b"x" * 33):
            self.path.write_bytes(content)
            problem = self.assertRaises(ValueError, load_token_key, self.path)
            self.assertIn(str(self.path), str(problem))
            self.assertIn("32 bytes", str(problem))
            self.assertEqual(self.path.read_bytes(), content)


class Minting(SynchronousTestCase):
    """Tokens from the key."""

    def test_the_same_as_long_as_nothing_changes(self) -> None:
        mint, again = TokenMint(b"k" * 32), TokenMint(b"k" * 32)
        self.assertEqual(mint.token("d", "node", "s"), again.token("d", "node", "s"))

    def test_another_for_anything_else(self) -> None:
        tokens = {
            TokenMint(key).token(device, role, salt)
            for key in (b"k" * 32, b"l" * 32)
            for device in ("a" * 64, "b" * 64)
            for role in ("operator", "node")
            for salt in (new_salt(), new_salt())
        }
        self.assertEqual(len(tokens), 16)
        self.assertEqual({len(token) for token in tokens}, {43})

    def test_secrets_are_compared_whole(self) -> None:
        self.assertTrue(same_secret("pässword", "pässword"))
        for wrong in ("", "passwor", "password ", "PASSWORD"):
            self.assertFalse(same_secret(wrong, "password"))
        self.assertNotIn("token", hash_token("token"))


class Representations(SynchronousTestCase):
    """What a log line or a traceback may show of objects that hold secrets."""

    def test_nothing_secret_in_any(self) -> None:
        secret = "very-secret"
        device = Device()
        params = device.connect(auth=token_auth(secret))
        attempt = Attempt(
            params, LOCAL, "nonce", 1, Secrets("password", secret, secret), lambda _: None
        )
        fields = SignedFields("id", "cli", "cli", "operator", [], 1, secret, None)
        row = Grant("id", "operator", (), (), secret, secret, 1)
        for one in (
            params, params.auth, attempt, attempt.secrets, TokenMint(secret.encode()), fields, row,
            IssuedToken(secret, (), 1), connect_params(auth=token_auth(secret)),
        ):  # fmt: skip
            for shown in (repr(one), str(one), f"{one}"):
                self.assertNotIn(secret, shown)
        self.assertNotIn(TOKEN, repr((SECRETS, grant(token=TOKEN))))
