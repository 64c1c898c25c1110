// How a client becomes a linked device of the account.
//
// By QR: it connects with its public keys, the server gives it references, it shows one with its
// keys and a secret in a QR, the phone scans that and signs the client's identity (`pair-success`),
// the client signs in turn (`pair-device-sign`) and is asked to connect anew (stream error 515).
//
// By code: the client asks for a reference (`companion_hello`), its user enters the code it shows
// into the phone; the phone answers with a key wrapped by the code (`primary_hello`), and from what
// the client then sends (`companion_finish`) both have the secret that is in a QR otherwise.
import { createDecipheriv, createCipheriv, createHmac, hkdfSync, randomBytes } from "node:crypto";
import { Curve, derivePairingCodeKey, proto } from "baileys";
import { SERVER, bytesOf, child, node, now } from "./nodes.mjs";
import { isSigned } from "./signatures.mjs";

const REFERENCES = 6;
const ACCOUNT_SIGNATURE = Buffer.from([6, 0]);
const DEVICE_SIGNATURE = Buffer.from([6, 1]);
const KEY_TYPE = Buffer.from([5]);
const NONE = Buffer.alloc(0);
const TAG_BYTES = 16;

const text = (bytes) => Buffer.from(bytes).toString();
const hkdf = (secret, salt, info) => Buffer.from(hkdfSync("sha256", secret, salt, info, 32));

/** A client that is not linked has connected: give it what it makes QRs of. */
export function offer(connection, server, data) {
  const identity = Buffer.from(data.eIdent);
  const signedPreKey = {
    keyId: Buffer.from(data.eSkeyId).readUIntBE(0, 3),
    publicKey: Buffer.from(data.eSkeyVal),
    signature: Buffer.from(data.eSkeySig),
  };
  if (
    !isSigned(identity, Buffer.concat([KEY_TYPE, signedPreKey.publicKey]), signedPreKey.signature)
  ) {
    throw new Error("the signed pre-key is not signed by the identity");
  }
  const keys = {
    noiseKey: connection.noiseKey,
    identity,
    registrationId: Buffer.from(data.eRegid).readUInt32BE(),
    signedPreKey,
  };
  const references = Array.from(
    { length: REFERENCES },
    () => `2@${randomBytes(36).toString("base64")}`,
  );
  connection.registration = { keys, references };
  const content = references.map((one) => node("ref", {}, Buffer.from(one)));
  const attrs = { from: SERVER, type: "set", id: server.nextId(), xmlns: "md" };
  connection.send(node("iq", attrs, [node("pair-device", {}, content)]));
}

/** The phone scans a QR. Throws when it is not one that a client shows now. */
export function scan(server, qr) {
  const [reference, noiseKey, identity, secret] = qr.slice(qr.indexOf("#") + 1).split(",");
  const connection = server
    .unlinked()
    .find((one) => one.registration.references.includes(reference));
  if (!connection) throw new Error("no client shows this QR (any more)");
  const { keys } = connection.registration;
  if (
    noiseKey !== keys.noiseKey.toString("base64") ||
    identity !== keys.identity.toString("base64")
  ) {
    throw new Error("the keys in the QR are not those of the client");
  }
  return link(server, connection, Buffer.from(secret, "base64"));
}

function link(server, connection, secret) {
  const { account } = server.people;
  const { keys } = connection.registration;
  const companion = account.link(keys);
  const { keyIndex, device } = companion;
  const details = proto.ADVDeviceIdentity.encode({
    rawId: randomBytes(4).readUInt32BE(),
    timestamp: Math.floor(Date.now() / 1000),
    keyIndex,
    accountType: proto.ADVEncryptionType.E2EE,
    deviceType: proto.ADVEncryptionType.E2EE,
  }).finish();
  const signed = Buffer.concat([ACCOUNT_SIGNATURE, details, keys.identity]);
  const accountKey = account.phone.identity;
  const identity = proto.ADVSignedDeviceIdentity.encode({
    details,
    accountSignatureKey: accountKey.public,
    accountSignature: Curve.sign(accountKey.private, signed),
  }).finish();
  const hmac = createHmac("sha256", secret).update(identity).digest();
  const id = server.nextId();
  connection.registration.signing = { id, companion, details };
  const success = node("pair-success", {}, [
    node(
      "device-identity",
      {},
      proto.ADVSignedDeviceIdentityHMAC.encode({ details: identity, hmac }).finish(),
    ),
    node("device", { jid: account.pn(device), lid: account.lidJid(device) }),
    node("platform", { name: "android" }),
  ]);
  connection.send(node("iq", { from: SERVER, type: "set", id, xmlns: "md", t: now() }, [success]));
  return { jid: account.pn(device) };
}

/** The client's answer to `pair-success`: its own signature. It is linked then. */
export function signed(server, connection, answer) {
  const { companion, details } = connection.registration.signing;
  const { account } = server.people;
  const encoded = bytesOf(child(answer, "pair-device-sign"), "device-identity");
  const { deviceSignature } = proto.ADVSignedDeviceIdentity.decode(encoded);
  const accountKey = account.phone.identity.public;
  const expected = Buffer.concat([DEVICE_SIGNATURE, details, companion.identity, accountKey]);
  if (!isSigned(companion.identity, expected, Buffer.from(deviceSignature))) {
    account.unlink(companion.device);
    throw new Error("the device's signature is wrong");
  }
  server.tell("paired", { jid: account.pn(companion.device) });
  connection.end(node("stream:error", { code: "515" }));
}

/** Link codes, the client's part: a question about one. */
export function companionAsks(server, connection, query) {
  const registering = child(query, "link_code_companion_reg");
  if (registering.attrs.stage === "companion_hello")
    return hello(server, connection, query, registering);
  return finish(server, connection, query, registering);
}

function hello(server, connection, query, registering) {
  const reference = randomBytes(20).toString("base64url");
  connection.registration.code = {
    reference,
    number: registering.attrs.jid.split("@")[0],
    wrapped: bytesOf(registering, "link_code_pairing_wrapped_companion_ephemeral_pub"),
  };
  const answer = node("link_code_companion_reg", { stage: "companion_hello" }, [
    node("link_code_pairing_ref", {}, Buffer.from(reference)),
  ]);
  connection.send(node("iq", { from: SERVER, type: "result", id: query.attrs.id }, [answer]));
  server.tell("codeAwaited", { number: connection.registration.code.number });
}

/** The user enters a code into the phone. Throws when no client waits for one. */
export async function enterCode(server, code) {
  const { account } = server.people;
  const connection = server
    .unlinked()
    .find((one) => one.registration.code?.number === account.number);
  if (!connection) throw new Error("no client waits for a code for this number");
  const awaited = connection.registration.code;
  const ephemeral = Curve.generateKeyPair();
  const theirs = await withCode(code, awaited.wrapped);
  awaited.shared = Curve.sharedKey(ephemeral.private, theirs);
  const content = [
    node(
      "link_code_pairing_wrapped_primary_ephemeral_pub",
      {},
      await wrapByCode(code, ephemeral.public),
    ),
    node("primary_identity_pub", {}, account.phone.identity.public),
    node("link_code_pairing_ref", {}, Buffer.from(awaited.reference)),
  ];
  const attrs = { from: SERVER, type: "link_code_companion_reg", id: server.nextId(), t: now() };
  connection.send(
    node("notification", attrs, [
      node("link_code_companion_reg", { stage: "primary_hello" }, content),
    ]),
  );
  return {};
}

async function withCode(code, wrapped) {
  const key = await derivePairingCodeKey(code, wrapped.subarray(0, 32));
  const decipher = createDecipheriv("aes-256-ctr", key, wrapped.subarray(32, 48));
  return Buffer.concat([decipher.update(wrapped.subarray(48, 80)), decipher.final()]);
}

async function wrapByCode(code, plaintext) {
  const [salt, iv] = [randomBytes(32), randomBytes(16)];
  const cipher = createCipheriv("aes-256-ctr", await derivePairingCodeKey(code, salt), iv);
  return Buffer.concat([salt, iv, cipher.update(plaintext), cipher.final()]);
}

function finish(server, connection, query, registering) {
  const { code, keys } = connection.registration;
  const attrs = { from: SERVER, id: query.attrs.id };
  const refuse = (message) => {
    connection.send(
      node("iq", { ...attrs, type: "error" }, [
        node("error", { code: "400", text: "bad-request" }),
      ]),
    );
    server.tell("pairingFailed", { message });
  };
  if (text(bytesOf(registering, "link_code_pairing_ref")) !== code?.reference)
    return refuse("another reference");
  const { phone } = server.people.account;
  const random = openBundle(
    code.shared,
    bytesOf(registering, "link_code_pairing_wrapped_key_bundle"),
    [keys.identity, phone.identity.public],
  );
  if (!random) return refuse("wrong code");
  const identityShared = Curve.sharedKey(phone.identity.private, keys.identity);
  const secret = hkdf(Buffer.concat([code.shared, identityShared, random]), NONE, "adv_secret");
  connection.send(node("iq", { ...attrs, type: "result" }));
  link(server, connection, secret);
}

/** The random part of the client's key bundle, if the two identities before it are right. */
function openBundle(shared, bundle, identities) {
  const key = hkdf(shared, bundle.subarray(0, 32), "link_code_pairing_key_bundle_encryption_key");
  const decipher = createDecipheriv("aes-256-gcm", key, bundle.subarray(32, 44));
  decipher.setAuthTag(bundle.subarray(-TAG_BYTES));
  try {
    const opened = Buffer.concat([
      decipher.update(bundle.subarray(44, -TAG_BYTES)),
      decipher.final(),
    ]);
    return opened.subarray(0, 64).equals(Buffer.concat(identities))
      ? opened.subarray(64)
      : undefined;
  } catch {
    return undefined;
  }
}
