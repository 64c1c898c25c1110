// Signatures, really checked. Baileys' own check (7.0.0-rc14) says yes to every signature, because
// it does not look at what libsignal's returns.
import libsignal from "libsignal";
import { generateSignalPubKey } from "baileys";

/** Whether `signature` is that of `message` by the owner of `publicKey`. */
export function isSigned(publicKey, message, signature) {
  try {
    const key = Buffer.from(generateSignalPubKey(publicKey));
    return libsignal.curve.verifySignature(key, message, signature) === true;
  } catch {
    return false;
  }
}
