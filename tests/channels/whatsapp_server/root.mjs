// The key that signs the simulated server's certificates. WhatsApp's own is known to WhatsApp only,
// so whoever shall talk to the simulated server has to trust this one: see trust.mjs. It is no
// secret: everybody can compute it, and nothing but a test trusts it.
import { createHash, createPrivateKey, createPublicKey } from "node:crypto";

const PKCS8 = Buffer.from("302e020100300506032b656e04220420", "hex");
const SPKI_BYTES = 12;

/** The root key pair: 32 bytes each, X25519. */
export function rootKeys() {
  const seed = createHash("sha256").update("clawgw tests: WhatsApp root").digest();
  seed[0] &= 248;
  seed[31] = (seed[31] & 127) | 64;
  const key = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: "der", type: "pkcs8" });
  const der = createPublicKey(key).export({ format: "der", type: "spki" });
  return { private: seed, public: der.subarray(SPKI_BYTES) };
}
