/**
 * Signatures are really verified.
 *
 * Baileys 7.0.0-rc14 takes every well-formed signature for a good one: its `Curve.verify` waits for an
 * exception where libsignal 6.0.0 returns false. With it would go the check that the server is
 * WhatsApp's (the certificate in the Noise handshake) and that a pairing was signed by the phone.
 */

import { Curve, generateSignalPubKey } from "baileys";
import { verifySignature } from "libsignal/src/curve.js";

/** Mend it; harmless where it has been mended. */
export function verifySignatures() {
  Curve.verify = (publicKey, message, signature) => {
    try {
      return verifySignature(generateSignalPubKey(publicKey), message, signature) === true;
    } catch {
      return false; // a key or a signature that is none
    }
  };
}
