// The encryption of the connection, the server's side: Noise_XX_25519_AESGCM_SHA256 with WhatsApp's
// prologue ("WA", 6, 3). The client says its ephemeral key; we answer with ours, with our static
// key and with a chain of two certificates for it; the client answers with its static key, which is
// what it is known by from then on, and with its ClientPayload. Frames before and after are
// prefixed by their length, three bytes, big-endian. The first one follows the prologue, which may
// be preceded by the routing information of an earlier connection ("ED", 0, 1, length, bytes).
import { createCipheriv, createDecipheriv, createHash, hkdfSync } from "node:crypto";
import { Curve, proto } from "baileys";
import { rootKeys } from "./root.mjs";

const PROTOCOL = Buffer.from("Noise_XX_25519_AESGCM_SHA256\0\0\0\0");
const PROLOGUE = Buffer.from([87, 65, 6, 3]);
const ROUTING_HEADER = 7;
const LENGTH_BYTES = 3;
const TAG_BYTES = 16;
const NONE = Buffer.alloc(0);
const YEAR = 365 * 24 * 3600;

const sha256 = (...parts) => createHash("sha256").update(Buffer.concat(parts)).digest();

function nonce(counter) {
  const iv = Buffer.alloc(12);
  iv.writeUInt32BE(counter, 8);
  return iv;
}

function seal(key, counter, plaintext, extra) {
  const cipher = createCipheriv("aes-256-gcm", key, nonce(counter)).setAAD(extra);
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

function open(key, counter, sealed, extra) {
  const decipher = createDecipheriv("aes-256-gcm", key, nonce(counter)).setAAD(extra);
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  return Buffer.concat([decipher.update(sealed.subarray(0, -TAG_BYTES)), decipher.final()]);
}

/** The server's static key and the certificates that vouch for it. */
export function makeServerIdentity() {
  const keys = Curve.generateKeyPair();
  const between = Curve.generateKeyPair();
  const leaf = { serial: 2, issuerSerial: 1, key: keys.public };
  const chain = {
    leaf: certificate(leaf, between.private),
    intermediate: certificate(
      { serial: 1, issuerSerial: 0, key: between.public },
      rootKeys().private,
    ),
  };
  return { keys, chain: proto.CertChain.encode(chain).finish() };
}

function certificate(details, signer) {
  const now = Math.floor(Date.now() / 1000);
  const validity = { notBefore: now - YEAR, notAfter: now + YEAR };
  const encoded = proto.CertChain.NoiseCertificate.Details.encode({
    ...details,
    ...validity,
  }).finish();
  return { details: encoded, signature: Curve.sign(signer, encoded) };
}

/** Cuts the stream of bytes from a client into frames. */
export class FrameReader {
  #bytes = NONE;
  #begun = false;

  /** The frames that `data` completes. Throws when the stream does not begin as it should. */
  push(data) {
    this.#bytes = Buffer.concat([this.#bytes, data]);
    if (!this.#begun && !this.#skipPrologue()) return [];
    const frames = [];
    while (this.#bytes.length >= LENGTH_BYTES) {
      const end = LENGTH_BYTES + this.#bytes.readUIntBE(0, LENGTH_BYTES);
      if (this.#bytes.length < end) break;
      frames.push(this.#bytes.subarray(LENGTH_BYTES, end));
      this.#bytes = this.#bytes.subarray(end);
    }
    return frames;
  }

  #skipPrologue() {
    let start = 0;
    if (this.#bytes.subarray(0, 2).toString() === "ED") {
      if (this.#bytes.length < ROUTING_HEADER) return false;
      start = ROUTING_HEADER + this.#bytes.readUIntBE(4, LENGTH_BYTES);
    }
    const end = start + PROLOGUE.length;
    if (this.#bytes.length < end) return false;
    if (!this.#bytes.subarray(start, end).equals(PROLOGUE))
      throw new Error("not WhatsApp's prologue");
    this.#bytes = this.#bytes.subarray(end);
    this.#begun = true;
    return true;
  }
}

/** A frame for the wire. */
export function frame(data) {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUIntBE(data.length, 0, LENGTH_BYTES);
  return Buffer.concat([length, data]);
}

/** One connection's handshake, then its encryption. */
export class ServerNoise {
  #identity;
  #ephemeral = Curve.generateKeyPair();
  #hash = sha256(PROTOCOL, PROLOGUE);
  #salt = PROTOCOL;
  #key = PROTOCOL;
  #counter = 0;
  #in;
  #out;

  constructor(identity) {
    this.#identity = identity;
  }

  /** Answer the ClientHello. */
  hello(bytes) {
    const { clientHello } = proto.HandshakeMessage.decode(bytes);
    if (clientHello?.ephemeral?.length !== 32)
      throw new Error("no ephemeral key in the ClientHello");
    const theirs = Buffer.from(clientHello.ephemeral);
    this.#mixHash(theirs);
    this.#mixHash(this.#ephemeral.public);
    this.#mixKey(Curve.sharedKey(this.#ephemeral.private, theirs));
    const sealedStatic = this.#seal(this.#identity.keys.public);
    this.#mixKey(Curve.sharedKey(this.#identity.keys.private, theirs));
    const serverHello = {
      ephemeral: this.#ephemeral.public,
      static: sealedStatic,
      payload: this.#seal(this.#identity.chain),
    };
    return Buffer.from(proto.HandshakeMessage.encode({ serverHello }).finish());
  }

  /** Take the ClientFinish: who the client is and what it wants. */
  finish(bytes) {
    const { clientFinish } = proto.HandshakeMessage.decode(bytes);
    if (!clientFinish?.static || !clientFinish.payload) throw new Error("no ClientFinish");
    const noiseKey = this.#open(Buffer.from(clientFinish.static));
    this.#mixKey(Curve.sharedKey(this.#ephemeral.private, noiseKey));
    const payload = proto.ClientPayload.decode(this.#open(Buffer.from(clientFinish.payload)));
    const [fromClient, toClient] = this.#derive(NONE);
    this.#in = { key: fromClient, counter: 0 };
    this.#out = { key: toClient, counter: 0 };
    return { noiseKey, payload };
  }

  encrypt(plaintext) {
    return seal(this.#out.key, this.#out.counter++, plaintext, NONE);
  }

  decrypt(sealed) {
    return open(this.#in.key, this.#in.counter++, sealed, NONE);
  }

  #mixHash(data) {
    this.#hash = sha256(this.#hash, data);
  }

  #derive(material) {
    const bytes = Buffer.from(hkdfSync("sha256", material, this.#salt, NONE, 64));
    return [bytes.subarray(0, 32), bytes.subarray(32)];
  }

  #mixKey(material) {
    [this.#salt, this.#key] = this.#derive(material);
    this.#counter = 0;
  }

  #seal(plaintext) {
    const sealed = seal(this.#key, this.#counter++, plaintext, this.#hash);
    this.#mixHash(sealed);
    return sealed;
  }

  #open(sealed) {
    const plaintext = open(this.#key, this.#counter++, sealed, this.#hash);
    this.#mixHash(sealed);
    return plaintext;
  }
}
