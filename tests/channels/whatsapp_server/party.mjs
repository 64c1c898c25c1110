// One phone's share of the end-to-end encryption: an identity, its keys and its sessions with the
// linked devices it writes to and hears from. It is the other side of what the client under test
// does with Signal's protocol, and keeps everything in memory. A session is written back only when
// what it was used for has worked, so that a message that cannot be read does no damage.
import { randomInt } from "node:crypto";
import libsignal from "libsignal";
import {
  Curve,
  encodeWAMessage,
  generateSignalPubKey,
  proto,
  signedKeyPair,
  unpadRandomMax16,
} from "baileys";
import {
  GroupCipher,
  GroupSessionBuilder,
  SenderKeyDistributionMessage,
  SenderKeyName,
  SenderKeyRecord,
} from "baileys/lib/Signal/Group/index.js";
import { Cipher } from "./ratchet.mjs";

const MAX_REGISTRATION = 16380;
const FIRST_PRE_KEY_BELOW = 1_000_000;

const withType = (key) => Buffer.from(generateSignalPubKey(Buffer.from(key)));
const addressOf = ({ user, device }) => new libsignal.ProtocolAddress(user, device);

/** What somebody needs to write to a device first, as libsignal takes it. */
export function signalBundle({ registrationId, identity, signedPreKey, preKey }) {
  return {
    registrationId,
    identityKey: withType(identity),
    signedPreKey: {
      keyId: signedPreKey.keyId,
      publicKey: withType(signedPreKey.publicKey),
      signature: Buffer.from(signedPreKey.signature),
    },
    preKey: preKey && { keyId: preKey.keyId, publicKey: withType(preKey.publicKey) },
  };
}

export class Party {
  identity = Curve.generateKeyPair();
  registrationId = randomInt(1, MAX_REGISTRATION);
  #signedPreKey = signedKeyPair(this.identity, 1);
  #preKeys = new Map();
  #lastPreKey = randomInt(1, FIRST_PRE_KEY_BELOW);
  #sessions = new Map();
  #senderKeys = new Map();

  /** A bundle for somebody who wants to write to this phone; each has a pre-key of its own. */
  bundle() {
    const keys = Curve.generateKeyPair();
    this.#preKeys.set(String(++this.#lastPreKey), keys);
    return {
      registrationId: this.registrationId,
      identity: this.identity.public,
      signedPreKey: {
        keyId: this.#signedPreKey.keyId,
        publicKey: this.#signedPreKey.keyPair.public,
        signature: this.#signedPreKey.signature,
      },
      preKey: { keyId: this.#lastPreKey, publicKey: keys.public },
    };
  }

  hasSession(device) {
    return this.#sessions.has(addressOf(device).toString());
  }

  /** Forget the session, as a phone that was set up anew has. */
  forget(device) {
    this.#sessions.delete(addressOf(device).toString());
  }

  /** Begin a session with what the other side has published; what is under way can still be read. */
  async begin(device, bundle) {
    await new libsignal.SessionBuilder(this.#store(), addressOf(device)).initOutgoing(
      signalBundle(bundle),
    );
  }

  /** Encrypt for one device: `{type: "pkmsg" | "msg", body}`. */
  async encrypt(device, message) {
    const cipher = new Cipher(this.#store(), addressOf(device));
    const { type, body } = await cipher.encrypt(encodeWAMessage(message));
    return { type: type === 3 ? "pkmsg" : "msg", body: Buffer.from(body) };
  }

  /** Decrypt what one device sent; a `proto.Message`. Throws when that cannot be done. */
  async decrypt(device, type, ciphertext) {
    const cipher = new Cipher(this.#store(), addressOf(device));
    const bytes = Buffer.from(ciphertext);
    const plaintext =
      type === "pkmsg"
        ? await cipher.decryptPreKeyWhisperMessage(bytes)
        : await cipher.decryptWhisperMessage(bytes);
    return proto.Message.decode(unpadRandomMax16(plaintext));
  }

  /** What the members of a group need to read what this phone writes there. */
  async senderKey(group) {
    const name = new SenderKeyName(group, new libsignal.ProtocolAddress("self", 0));
    return Buffer.from(
      (await new GroupSessionBuilder(this.#groupStore()).create(name)).serialize(),
    );
  }

  /** Encrypt for everybody in a group. */
  async encryptForGroup(group, message) {
    const name = new SenderKeyName(group, new libsignal.ProtocolAddress("self", 0));
    return Buffer.from(
      await new GroupCipher(this.#groupStore(), name).encrypt(encodeWAMessage(message)),
    );
  }

  /** Take the key with which a device will write to a group. */
  async learnSenderKey(group, device, bytes) {
    const distribution = new SenderKeyDistributionMessage(
      null,
      null,
      null,
      null,
      Buffer.from(bytes),
    );
    const name = new SenderKeyName(group, addressOf(device));
    await new GroupSessionBuilder(this.#groupStore()).process(name, distribution);
  }

  /** Decrypt what a device wrote to a group. */
  async decryptInGroup(group, device, ciphertext) {
    const name = new SenderKeyName(group, addressOf(device));
    const plaintext = await new GroupCipher(this.#groupStore(), name).decrypt(
      Buffer.from(ciphertext),
    );
    return proto.Message.decode(unpadRandomMax16(plaintext));
  }

  #store() {
    return {
      loadSession: async (id) => {
        const kept = this.#sessions.get(id);
        return kept && libsignal.SessionRecord.deserialize(JSON.parse(kept));
      },
      storeSession: async (id, record) => {
        this.#sessions.set(id, JSON.stringify(record.serialize()));
      },
      isTrustedIdentity: async () => true,
      loadPreKey: async (id) => {
        const keys = this.#preKeys.get(String(id));
        return keys && { privKey: keys.private, pubKey: withType(keys.public) };
      },
      removePreKey: async (id) => {
        this.#preKeys.delete(String(id));
      },
      loadSignedPreKey: async () => ({
        privKey: this.#signedPreKey.keyPair.private,
        pubKey: withType(this.#signedPreKey.keyPair.public),
      }),
      getOurRegistrationId: async () => this.registrationId,
      getOurIdentity: async () => ({
        privKey: this.identity.private,
        pubKey: withType(this.identity.public),
      }),
    };
  }

  #groupStore() {
    return {
      loadSenderKey: async (name) => {
        const kept = this.#senderKeys.get(name.toString());
        return kept ? SenderKeyRecord.deserialize(kept) : new SenderKeyRecord();
      },
      storeSenderKey: async (name, record) => {
        this.#senderKeys.set(name.toString(), Buffer.from(JSON.stringify(record.serialize())));
      },
    };
  }
}
