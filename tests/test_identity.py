"""The device key and the tokens beside it, on disk."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from twisted.trial.unittest import SynchronousTestCase

from clawgw.identity import DeviceIdentity, IdentityError, load_or_create_identity
from clawgw.trust.signatures import decode_base64url


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class DeviceKey(SynchronousTestCase):
    """`device.pem`."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "identity" / "device.pem"

    def test_the_same_device_the_next_time(self) -> None:
        first, second = load_or_create_identity(self.path), load_or_create_identity(self.path)
        self.assertEqual(first.device_id, second.device_id)
        self.assertEqual(first.public_key, second.public_key)

    def test_id_key_and_signature_belong_together(self) -> None:
        identity = load_or_create_identity(self.path)
        raw, signature = (
            decode_base64url(text) for text in (identity.public_key, identity.sign("näme|x"))
        )
        assert raw is not None
        assert signature is not None
        self.assertEqual(identity.device_id, hashlib.sha256(raw).hexdigest())
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, "näme|x".encode())
        self.assertNotIn("=", identity.public_key + identity.sign("x"))

    def test_only_the_owner_can_read_it(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        load_or_create_identity(self.path)
        self.assertEqual(mode(self.path), 0o600)
        self.assertEqual(mode(self.path.parent), 0o700)

    def test_a_key_others_could_read_is_closed(self) -> None:
        load_or_create_identity(self.path)
        self.path.chmod(0o644)
        load_or_create_identity(self.path)
        self.assertEqual(mode(self.path), 0o600)

    def test_leaves_nothing_else_behind(self) -> None:
        load_or_create_identity(self.path)
        self.assertEqual(os.listdir(self.path.parent), ["device.pem"])

    def test_who_comes_second_takes_the_key_of_the_first(self) -> None:
        real_link = os.link
        first: list[DeviceIdentity] = []

        def slow_link(source: str, target: str) -> None:
            # Between our look and our write another process makes the key.
            self.patch(os, "link", real_link)
            first.append(load_or_create_identity(self.path))
            real_link(source, target)

        self.patch(os, "link", slow_link)
        second = load_or_create_identity(self.path)
        self.assertEqual(second.device_id, first[0].device_id)

    def test_a_file_that_is_no_key_is_not_replaced(self) -> None:
        self.path.parent.mkdir(parents=True)
        self.path.write_text("precious")
        error = self.assertRaises(IdentityError, load_or_create_identity, self.path)
        self.assertIn(str(self.path), str(error))
        self.assertEqual(self.path.read_text(), "precious")

    def test_a_directory_that_cannot_be_made(self) -> None:
        self.path.parent.parent.write_text("in the way")
        error = self.assertRaises(IdentityError, load_or_create_identity, self.path)
        self.assertIn("cannot be used", str(error))


class SavedTokens(SynchronousTestCase):
    """`device-tokens.json`."""

    def setUp(self) -> None:
        self.identity = load_or_create_identity(Path(self.mktemp()) / "device.pem")
        self.tokens = self.identity.tokens
        self.path = self.tokens._path

    def test_kept_by_gateway_and_role(self) -> None:
        self.tokens.save("one:1", "operator", "a")
        self.tokens.save("one:1", "node", "b")
        self.tokens.save("two:2", "operator", "c")
        found = [
            self.tokens.load(*key)
            for key in (("one:1", "operator"), ("one:1", "node"), ("two:2", "operator"))
        ]
        self.assertEqual(found, ["a", "b", "c"])
        self.assertIsNone(self.tokens.load("two:2", "node"))

    def test_forgotten(self) -> None:
        self.tokens.save("one:1", "operator", "a")
        self.tokens.save("two:2", "operator", "b")
        self.tokens.forget("one:1", "operator")
        self.tokens.forget("three:3", "operator")
        self.assertIsNone(self.tokens.load("one:1", "operator"))
        self.assertEqual(json.loads(self.path.read_text()), {"two:2": {"operator": "b"}})

    def test_only_the_owner_can_read_them(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        self.tokens.save("one:1", "operator", "a")
        self.assertEqual(mode(self.path), 0o600)
        self.assertEqual(sorted(os.listdir(self.path.parent)), [self.path.name, "device.pem"])

    def test_a_damaged_file_counts_as_empty(self) -> None:
        for content in ("{", "[]", '{"one:1": 3}', '{"one:1": {"operator": 3}}'):
            self.path.write_text(content)
            self.assertIsNone(self.tokens.load("one:1", "operator"))
            self.tokens.save("one:1", "operator", "a")
            self.assertEqual(self.tokens.load("one:1", "operator"), "a")

    def test_nothing_secret_is_shown(self) -> None:
        self.tokens.save("one:1", "operator", "sesame")
        shown = f"{self.identity!r} {self.identity} {self.tokens!r}"
        self.assertNotIn("sesame", shown)
        self.assertNotIn("Private", shown)
