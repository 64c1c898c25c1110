"""Who is let in, as what: the whole decision, without a socket."""

from __future__ import annotations

from typing import Any

from clawgw.protocol.connect import ConnectAuth
from clawgw.trust.connect import KEYLESS_AT_HOME, SIGNATURE_LIFETIME_MS, Refused, Secrets
from clawgw.trust.peers import Peer
from clawgw.trust.signatures import encode_base64url
from tests.support.memory import NONCE, START_MS, Device, client_info, token_auth
from tests.trust.admission import (
    ADMIN,
    DEVICE_TOKEN,
    LOCAL,
    OUR_PAGE,
    READ,
    REMOTE,
    SECRETS,
    TOKEN,
    WRITE,
    AdmissionTestCase,
    grant,
    without_device,
)

PASSWORD = Secrets("password", password="a pass phrase")
OPEN = Secrets("none")

DEVICE_REFUSED = "device identity refused: "


class SharedSecret(AdmissionTestCase):
    """The token, the password, or none."""

    def test_what_counts(self) -> None:
        table = [
            (SECRETS, ConnectAuth(token=TOKEN), "token"),
            (PASSWORD, ConnectAuth(password="a pass phrase"), "password"),
            (PASSWORD, ConnectAuth(password="a pass phrase", token="noise"), "password"),
            (OPEN, ConnectAuth(), "none"),
            (OPEN, ConnectAuth(token="whatever"), "none"),
        ]
        for secrets, auth, method in table:
            with self.subTest(mode=secrets.mode, auth=auth):
                admitted = self.admitted(self.device.connect(auth=auth), REMOTE, secrets=secrets)
                self.assertEqual(admitted.method, method)
                self.assertEqual(admitted.device_id, self.device.id)

    def test_what_does_not(self) -> None:
        token_missing = ("AUTH_TOKEN_MISSING", "unauthorized: gateway token missing", False)
        token_wrong = ("AUTH_TOKEN_MISMATCH", "unauthorized: gateway token mismatch", True)
        word_missing = ("AUTH_PASSWORD_MISSING", "unauthorized: gateway password missing", False)
        word_wrong = ("AUTH_PASSWORD_MISMATCH", "unauthorized: gateway password mismatch", True)
        table = [
            (SECRETS, ConnectAuth(), token_missing),
            (SECRETS, ConnectAuth(token=""), token_missing),
            (SECRETS, ConnectAuth(password=TOKEN), token_missing),
            (SECRETS, ConnectAuth(bootstrap_token=TOKEN), token_missing),
            (SECRETS, ConnectAuth(token="wrong"), token_wrong),
            (SECRETS, ConnectAuth(token=TOKEN + " "), token_wrong),
            (SECRETS, ConnectAuth(token=TOKEN[:-1]), token_wrong),
            (PASSWORD, ConnectAuth(), word_missing),
            (PASSWORD, ConnectAuth(password=""), word_missing),
            (PASSWORD, ConnectAuth(token="a pass phrase"), word_missing),
            (PASSWORD, ConnectAuth(password="wrong"), word_wrong),
        ]
        for secrets, auth, (detail, says, failed) in table:
            for peer in (LOCAL, REMOTE, OUR_PAGE):
                for params in (self.device.connect(auth=auth), without_device(auth=auth)):
                    with self.subTest(mode=secrets.mode, detail=detail, peer=peer):
                        self.refused(
                            params, peer, secrets=secrets, detail=detail, says=says,
                            failed_auth=failed,
                        )  # fmt: skip

    def test_no_auth_object_at_all(self) -> None:
        self.refused(self.device.connect(), detail="AUTH_TOKEN_MISSING", says="unauthorized")

    def test_a_mode_without_its_secret_lets_nobody_in(self) -> None:
        for mode, auth in (("token", ConnectAuth(token="")), ("password", ConnectAuth(token="x"))):
            self.refused(
                self.device.connect(auth=auth),
                secrets=Secrets(mode),  # type: ignore[arg-type]
                detail=f"AUTH_{mode.upper()}_MISSING",
                says="unauthorized",
            )

    def test_a_client_with_a_saved_token_is_told_to_use_it(self) -> None:
        wrong = self.device.connect(auth=token_auth("wrong"))
        told = self.refused(
            wrong, REMOTE, detail="AUTH_TOKEN_MISMATCH", says="unauthorized", failed_auth=True
        )
        self.assertIs(told.details["canRetryWithDeviceToken"], True)
        self.assertEqual(told.details["recommendedNextStep"], "retry_with_device_token")
        for grants in ({}, {self.device.id: {"operator": grant(READ, token=None)}}):
            told = self.refused(
                wrong, REMOTE, grants=grants, detail="AUTH_TOKEN_MISMATCH", says="unauthorized",
                failed_auth=True,
            )  # fmt: skip
            self.assertIs(told.details["canRetryWithDeviceToken"], False)


class WithoutDevice(AdmissionTestCase):
    """A client that proves no identity."""

    def test_one_that_knows_the_secret_is_connected_without_any_scope(self) -> None:
        for secrets, auth in (
            (SECRETS, token_auth(TOKEN)),
            (PASSWORD, ConnectAuth(password="a pass phrase")),
        ):
            for peer in (LOCAL, REMOTE):
                params = without_device(auth=auth, scopes=[ADMIN, READ])
                admitted = self.admitted(params, peer, secrets=secrets)
                self.assertEqual(admitted.scopes, ())
                self.assertIsNone(admitted.device_id)
                self.assertIsNone(admitted.pair_now)

    def test_the_stock_command_line_at_home_has_what_it_asks_for(self) -> None:
        for name, mode in KEYLESS_AT_HOME:
            for secrets, auth in (
                (SECRETS, token_auth(TOKEN)),
                (PASSWORD, ConnectAuth(password="a pass phrase")),
            ):
                for asked in ([READ], [ADMIN, READ], []):
                    client = client_info(id=name, mode=mode)
                    params = without_device(auth=auth, client=client, scopes=asked)
                    admitted = self.admitted(params, LOCAL, secrets=secrets)
                    self.assertEqual(admitted.scopes, tuple(asked))
                    self.assertIsNone(admitted.pair_now)

    def test_nobody_else(self) -> None:
        plain, page = "DEVICE_IDENTITY_REQUIRED", "CONTROL_UI_DEVICE_IDENTITY_REQUIRED"
        table = [
            (OPEN, without_device(), LOCAL, plain),
            (OPEN, without_device(), REMOTE, plain),
            (OPEN, without_device(), OUR_PAGE, page),
            (SECRETS, without_device(auth=token_auth(TOKEN)), OUR_PAGE, page),
            (SECRETS, without_device(auth=token_auth(TOKEN), role="node"), LOCAL, plain),
            (SECRETS, without_device(auth=token_auth(TOKEN), role="node"), OUR_PAGE, page),
        ]
        for secrets, params, peer, detail in table:
            with self.subTest(peer=peer, detail=detail):
                self.refused(
                    params, peer, secrets=secrets, code="NOT_PAIRED", detail=detail,
                    says="device identity required",
                )  # fmt: skip


class Proof(AdmissionTestCase):
    """The device's id, key, signature, nonce and time."""

    def proof_refused(
        self, detail: str, says: str, *, failed_auth: bool = False, **more: Any
    ) -> None:
        peer = more.pop("peer", REMOTE)
        nonce = more.pop("challenged_with", NONCE)
        self.refused(
            self.signed(**more), peer, nonce=nonce, detail=f"DEVICE_AUTH_{detail}",
            says=DEVICE_REFUSED + says, failed_auth=failed_auth,
        )  # fmt: skip

    def test_an_id_that_is_not_the_keys(self) -> None:
        other = Device(2)
        for proof in (
            {"id": other.id},
            {"id": self.device.id.upper()},
            {"id": "x"},
            {"public_key": other.public_key},
        ):
            self.proof_refused("DEVICE_ID_MISMATCH", "id is not", proof=proof)

    def test_no_public_key(self) -> None:
        for text in (
            "x",
            "not base64url!",
            "ключ",
            encode_base64url(bytes(31)),
            encode_base64url(bytes(33)),
            "-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----\n",
            RSA_LIKE,
        ):
            with self.subTest(key=text):
                self.proof_refused(
                    "PUBLIC_KEY_INVALID", "public key is not Ed25519", proof={"public_key": text}
                )

    def test_a_key_may_be_padded_or_pem(self) -> None:
        for text in (self.device.pem, self.device.public_key + "="):
            params = self.signed(proof={"public_key": text})
            self.assertEqual(self.admitted(params, REMOTE).device_id, self.device.id)

    def test_all_three_texts(self) -> None:
        for version, nonce in ((1, None), (2, NONCE), (3, NONCE)):
            with self.subTest(version=version):
                params = self.signed(version=version, nonce=nonce)
                self.assertEqual(self.admitted(params, LOCAL).device_id, self.device.id)

    def test_the_third_text_folds_platform_and_family(self) -> None:
        client = client_info(platform=" MacOS ", device_family=" IPhone")
        self.assertEqual(self.admitted(self.signed(client=client), REMOTE).role, "operator")

    def test_without_a_nonce_only_a_local_program(self) -> None:
        for peer in (REMOTE, OUR_PAGE, Peer("127.0.0.1", is_local=False)):
            with self.subTest(peer=peer):
                self.proof_refused(
                    "NONCE_REQUIRED", "nonce is missing", version=1, nonce=None, peer=peer
                )

    def test_a_text_with_a_nonce_is_not_good_without(self) -> None:
        """Version 2 signed over an empty nonce, sent without one."""
        text = self.device.signed_text(2, self.signed(), "", START_MS)
        self.proof_refused(
            "SIGNATURE_INVALID", "signature does not", version=1, nonce=None, peer=LOCAL,
            proof={"signature": self.device.sign(text)}, failed_auth=True,
        )  # fmt: skip

    def test_the_nonce_of_another_connection(self) -> None:
        self.proof_refused("NONCE_MISMATCH", "nonce is not", nonce="earlier", failed_auth=True)
        self.proof_refused(
            "NONCE_MISMATCH", "nonce is not", challenged_with="a later one", failed_auth=True
        )

    def test_a_nonce_that_was_not_signed(self) -> None:
        """A frame of another connection with this connection's nonce put in."""
        self.proof_refused(
            "SIGNATURE_INVALID", "signature does not", nonce="earlier",
            proof={"nonce": NONCE}, failed_auth=True,
        )  # fmt: skip

    def test_time(self) -> None:
        edge = SIGNATURE_LIFETIME_MS
        for shift in (-edge, edge, 0):
            self.admitted(self.signed(signed_at_ms=START_MS + shift), REMOTE)
        for shift in (-edge - 1, edge + 1, -START_MS):
            with self.subTest(shift=shift):
                self.proof_refused(
                    "SIGNATURE_EXPIRED", "signature is stale", signed_at_ms=START_MS + shift
                )

    def test_no_signature(self) -> None:
        for text in ("x", "AAAA", encode_base64url(bytes(64)), "ø", self.device.sign("other")):
            with self.subTest(signature=text):
                self.proof_refused(
                    "SIGNATURE_INVALID", "signature does not", proof={"signature": text},
                    failed_auth=True,
                )  # fmt: skip

    def test_every_signed_field_is_signed(self) -> None:
        """Each field in turn is other than what was signed."""
        base = {
            "client": client_info(device_family="Mac"),
            "role": "operator",
            "scopes": [READ],
            "auth": token_auth(TOKEN),
        }
        changes = {
            "client id": {"client": client_info(id="cli", device_family="Mac")},
            "client mode": {"client": client_info(mode="cli", device_family="Mac")},
            "role": {"role": "node"},
            "more scopes": {"scopes": [READ, WRITE]},
            "no scopes": {"scopes": []},
            "token": {"auth": ConnectAuth(token="", device_token=TOKEN)},
            "platform": {"client": client_info(platform="Windows", device_family="Mac")},
            "family": {"client": client_info(device_family="iPad")},
        }
        honest = self.device.connect(**base)
        self.admitted(honest, REMOTE)
        for what, change in changes.items():
            with self.subTest(changed=what):
                signature = honest.device.signature  # type: ignore[union-attr]
                params = self.device.connect(**(base | change), proof={"signature": signature})
                self.refused(
                    params, REMOTE, detail="DEVICE_AUTH_SIGNATURE_INVALID", says=DEVICE_REFUSED,
                    failed_auth=True,
                )  # fmt: skip
        signed = honest.device
        params = self.device.connect(
            **base,
            proof={"signature": signed.signature, "signed_at": START_MS + 1},  # type: ignore[union-attr]
        )
        self.refused(
            params, REMOTE, detail="DEVICE_AUTH_SIGNATURE_INVALID", says=DEVICE_REFUSED,
            failed_auth=True,
        )  # fmt: skip

    def test_what_is_not_signed_does_not_matter(self) -> None:
        base = self.signed()
        params = self.signed(
            caps=["tool-events"],
            locale="de",
            proof={"signature": base.device.signature},  # type: ignore[union-attr]
        )
        self.admitted(params, REMOTE)


RSA_LIKE = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt
6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==
-----END PUBLIC KEY-----
"""
"""A key on P-256: a public key, but not one of ours."""


class RoleAndVersion(AdmissionTestCase):
    """What is asked before anybody is known."""

    def test_the_highest_common_version(self) -> None:
        for lowest, highest, expected in ((3, 4, 4), (1, 3, 3), (3, 3, 3), (4, 99, 4), (1, 99, 4)):
            params = self.signed(min_protocol=lowest, max_protocol=highest)
            self.assertEqual(self.admitted(params).version, expected)

    def test_no_common_version(self) -> None:
        for lowest, highest in ((1, 2), (5, 9), (4, 3)):
            told = self.refused(
                self.signed(min_protocol=lowest, max_protocol=highest),
                detail="PROTOCOL_MISMATCH", says="protocol mismatch$", close=1002,
            )  # fmt: skip
            self.assertEqual(told.details["expectedProtocol"], 4)
            self.assertEqual(told.close_reason, "protocol mismatch")

    def test_roles(self) -> None:
        for role in ("admin", "Operator", "operator ", "worker"):
            self.refused(self.signed(role=role), detail="INVALID_ROLE", says="invalid role")
        self.assertEqual(self.admitted(self.signed()).role, "operator")


class Pairing(AdmissionTestCase):
    """Devices that are not approved, or not for this."""

    def pairing_refused(self, reason: str, **more: Any) -> Refused:
        params = more.pop("params")
        told = self.refused(
            params, more.pop("peer", REMOTE), code="NOT_PAIRED", detail="PAIRING_REQUIRED",
            says="pairing required: ", **more,
        )  # fmt: skip
        self.assertEqual(told.details["reason"], reason)
        self.assertEqual(told.close_reason, "pairing required")
        wanted = told.wants_pairing
        assert wanted is not None
        self.assertEqual(wanted.device_id, self.device.id)
        self.assertEqual(told.details["requestedScopes"], list(wanted.scopes))
        return told

    def test_unknown_from_elsewhere_waits(self) -> None:
        told = self.pairing_refused("not-paired", params=self.signed(scopes=[READ]), grants={})
        self.assertEqual(told.details["approvedRoles"], [])

    def test_unknown_from_here_is_paired_with_what_it_asks(self) -> None:
        for secrets in (SECRETS, OPEN):
            admitted = self.admitted(self.signed(scopes=[READ]), secrets=secrets, grants={})
            assert admitted.pair_now is not None
            self.assertEqual(admitted.pair_now.scopes, (READ,))
            self.assertEqual(admitted.pair_now.reason, "not-paired")
            self.assertEqual(admitted.scopes, (READ,))

    def test_our_page_is_paired_like_any_local_program(self) -> None:
        admitted = self.admitted(self.signed(scopes=[READ]), OUR_PAGE, grants={})
        self.assertIsNotNone(admitted.pair_now)

    def test_another_role(self) -> None:
        told = self.pairing_refused("role-upgrade", params=self.signed(role="node"))
        self.assertEqual(told.details["approvedRoles"], ["operator"])
        admitted = self.admitted(self.signed(role="node"))
        assert admitted.pair_now is not None
        self.assertEqual((admitted.pair_now.reason, admitted.scopes), ("role-upgrade", ()))

    def test_more_scopes(self) -> None:
        params = self.signed(scopes=[READ, ADMIN])
        told = self.pairing_refused("scope-upgrade", params=params)
        self.assertEqual(told.details["approvedScopes"], [READ, WRITE])
        admitted = self.admitted(params)
        assert admitted.pair_now is not None
        self.assertEqual(admitted.pair_now.reason, "scope-upgrade")
        self.assertEqual(admitted.scopes, (READ, ADMIN))

    def test_a_device_token_gives_no_more_than_it_was_given_even_locally(self) -> None:
        for auth in (ConnectAuth(device_token=DEVICE_TOKEN), token_auth(DEVICE_TOKEN)):
            params = self.device.connect(scopes=[ADMIN], auth=auth)
            for peer in (LOCAL, OUR_PAGE, REMOTE):
                self.pairing_refused("scope-upgrade", params=params, peer=peer)

    def test_a_narrowed_token_gives_less_than_the_device_has(self) -> None:
        grants = {self.device.id: {"operator": grant(READ, WRITE, token_scopes=[READ])}}
        by_token = self.device.connect(auth=ConnectAuth(device_token=DEVICE_TOKEN))
        self.assertEqual(self.admitted(by_token, REMOTE, grants=grants).scopes, (READ,))
        self.assertEqual(self.admitted(self.signed(), REMOTE, grants=grants).scopes, (READ, WRITE))


class DeviceTokens(AdmissionTestCase):
    """A token that belongs to one device in one role."""

    def token_refused(self, auth: ConnectAuth, detail: str, **more: Any) -> None:
        device = more.get("device", self.device)
        for peer in (LOCAL, REMOTE):
            self.refused(
                device.connect(auth=auth, role=more.get("role", "operator")),
                peer, grants=more.get("grants", self.grants), detail=detail,
                says="unauthorized: ", failed_auth=True,
            )  # fmt: skip

    def test_either_field(self) -> None:
        for auth in (
            ConnectAuth(device_token=DEVICE_TOKEN),
            ConnectAuth(token=DEVICE_TOKEN),
            ConnectAuth(token=DEVICE_TOKEN, device_token=DEVICE_TOKEN),
        ):
            for secrets in (SECRETS, PASSWORD):
                admitted = self.admitted(self.device.connect(auth=auth), REMOTE, secrets=secrets)
                self.assertEqual(admitted.method, "device-token")
                self.assertEqual(admitted.scopes, (READ, WRITE))

    def test_of_another_device(self) -> None:
        other = Device(2)
        grants = {**self.grants, other.id: {"operator": grant(ADMIN, token="of the other")}}
        for device in (other, Device(3)):
            self.token_refused(
                ConnectAuth(device_token=DEVICE_TOKEN), "AUTH_DEVICE_TOKEN_MISMATCH",
                device=device, grants=grants,
            )  # fmt: skip
            self.token_refused(
                token_auth(DEVICE_TOKEN), "AUTH_TOKEN_MISMATCH", device=device, grants=grants
            )

    def test_of_another_role(self) -> None:
        """A node's token makes no operator, nor the other way round."""
        both = {"operator": grant(ADMIN, token="of the operator"), "node": grant()}
        grants = {self.device.id: both}
        auth = ConnectAuth(device_token=DEVICE_TOKEN)
        self.token_refused(auth, "AUTH_DEVICE_TOKEN_MISMATCH", grants=grants)
        auth = ConnectAuth(device_token="of the operator")
        self.token_refused(auth, "AUTH_DEVICE_TOKEN_MISMATCH", grants=grants, role="node")

    def test_revoked_or_rotated(self) -> None:
        for now in (None, "the new one"):
            grants = {self.device.id: {"operator": grant(READ, token=now)}}
            self.token_refused(
                ConnectAuth(device_token=DEVICE_TOKEN), "AUTH_DEVICE_TOKEN_MISMATCH", grants=grants
            )
            self.token_refused(token_auth(DEVICE_TOKEN), "AUTH_TOKEN_MISMATCH", grants=grants)

    def test_without_the_key_it_is_worth_nothing(self) -> None:
        for auth in (ConnectAuth(device_token=DEVICE_TOKEN), token_auth(DEVICE_TOKEN)):
            detail = "AUTH_TOKEN_MISMATCH" if auth.token else "AUTH_DEVICE_TOKEN_MISMATCH"
            self.refused(
                without_device(auth=auth), detail=detail, says="unauthorized", failed_auth=True
            )

    def test_its_hash_is_no_token(self) -> None:
        stored = self.grants[self.device.id]["operator"].token_hash
        assert stored is not None
        self.token_refused(ConnectAuth(device_token=stored), "AUTH_DEVICE_TOKEN_MISMATCH")

    def test_the_answer_does_not_tell_whether_the_shared_token_was_right(self) -> None:
        """A holder of a device token guesses beside it: right or wrong, the same comes back."""
        answers = []
        for shared in (TOKEN, "wrong"):
            auth = ConnectAuth(token=shared, device_token=DEVICE_TOKEN)
            answers.append(self.admitted(self.device.connect(auth=auth), REMOTE))
            for peer in (LOCAL, REMOTE):
                params = self.device.connect(auth=auth, scopes=[ADMIN])
                refusal = self.refused(
                    params, peer, code="NOT_PAIRED", detail="PAIRING_REQUIRED", says="pairing"
                )
                answers.append((refusal.details, refusal.message))
        half = len(answers) // 2
        self.assertEqual(answers[:half], answers[half:])
        self.assertEqual(answers[0].method, "device-token")

    def test_a_wrong_device_token_beside_the_right_shared_one(self) -> None:
        auth = ConnectAuth(token=TOKEN, device_token="old")
        self.assertEqual(self.admitted(self.device.connect(auth=auth), REMOTE).method, "token")


class Backoff(AdmissionTestCase):
    """An address that failed too often is not listened to."""

    def test_nothing_in_the_frame_overrides_it(self) -> None:
        frames = [
            self.signed(),
            self.device.connect(auth=ConnectAuth(device_token=DEVICE_TOKEN)),
            without_device(auth=token_auth(TOKEN)),
            self.signed(role="nobody"),
            self.signed(min_protocol=98, max_protocol=99),
            self.signed(client=client_info(id="gateway-client", mode="backend")),
        ]
        for params in frames:
            for secrets in (SECRETS, OPEN):
                for peer in (LOCAL, REMOTE, OUR_PAGE._replace(origin_allowed=False)):
                    told = self.refused(
                        params, peer, secrets=secrets, wait_ms=1500, detail="AUTH_RATE_LIMITED",
                        says="unauthorized: too many failed attempts",
                    )  # fmt: skip
                    self.assertEqual(told.retry_after_ms, 1500)
                    self.assertEqual(told.details["retryAfterMs"], 1500)
                    self.assertEqual(told.details["recommendedNextStep"], "wait_then_retry")


class Scopes(AdmissionTestCase):
    """What a connection may do, out of what was granted."""

    def granted(self, asked: list[str] | None, *granted: str, version: int = 4) -> tuple[str, ...]:
        more = {} if asked is None else {"scopes": asked}
        params = self.signed(max_protocol=version, **more)
        grants = {self.device.id: {"operator": grant(*granted)}}
        return self.admitted(params, REMOTE, grants=grants).scopes

    def test_no_more_than_is_asked(self) -> None:
        self.assertEqual(self.granted([READ], READ, WRITE), (READ,))
        self.assertEqual(self.granted([READ], ADMIN), (READ,))
        self.assertEqual(self.granted([READ, "operator.talk"], WRITE), (READ, "operator.talk"))

    def test_repetitions(self) -> None:
        self.assertEqual(self.granted([READ, READ, WRITE, READ], READ, WRITE), (READ, WRITE))

    def test_none_asked(self) -> None:
        for asked in (None, []):
            self.assertEqual(self.granted(asked, READ, WRITE), (READ, WRITE))
            self.assertEqual(self.granted(asked, ADMIN, version=3), (ADMIN,))

    def test_none_asked_in_version_3_means_all_and_has_to_be_granted(self) -> None:
        told = self.refused(
            self.signed(max_protocol=3), REMOTE, code="NOT_PAIRED", detail="PAIRING_REQUIRED",
            says="pairing required",
        )  # fmt: skip
        self.assertEqual(told.details["requestedScopes"], [ADMIN])

    def test_none_asked_in_version_4_by_a_new_device_gives_none(self) -> None:
        admitted = self.admitted(self.signed(), grants={})
        assert admitted.pair_now is not None
        self.assertEqual((admitted.scopes, admitted.pair_now.scopes), ((), ()))

    def test_what_was_not_granted(self) -> None:
        for asked, granted in (
            (WRITE, [READ]),
            (ADMIN, [WRITE, "operator.pairing", "operator.approvals"]),
            ("operator.pairing", [WRITE]),
            ("operator.approvals", [WRITE]),
            ("operator.questions", [WRITE]),
            ("something.else", [ADMIN]),
            ("operator.rea", [READ]),
            ("operator.read,operator.admin", [READ]),
        ):
            with self.subTest(asked=asked, granted=granted):
                grants = {self.device.id: {"operator": grant(*granted)}}
                self.refused(
                    self.signed(scopes=[asked]), REMOTE, grants=grants, code="NOT_PAIRED",
                    detail="PAIRING_REQUIRED", says="pairing required",
                )  # fmt: skip

    def test_a_node_has_none(self) -> None:
        for scopes in ([], [ADMIN], [READ, "node.invoke"]):
            for grants in ({}, {self.device.id: {"node": grant()}}):
                for version in (3, 4):
                    params = self.signed(role="node", scopes=scopes, max_protocol=version)
                    admitted = self.admitted(params, grants=grants)
                    self.assertEqual(admitted.scopes, ())
                    if admitted.pair_now is not None:
                        self.assertEqual(admitted.pair_now.scopes, ())


class Origin(AdmissionTestCase):
    """Pages of other sites."""

    def test_refused_whatever_they_know(self) -> None:
        page = Peer("127.0.0.1", True, "https://evil.example", origin_allowed=False)
        for params in (self.signed(), without_device(auth=token_auth(TOKEN))):
            for secrets in (SECRETS, OPEN):
                self.refused(
                    params, page, secrets=secrets, detail="CONTROL_UI_ORIGIN_NOT_ALLOWED",
                    says="origin not allowed: ",
                )  # fmt: skip
