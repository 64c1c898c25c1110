/**
 * A message that cannot be decrypted with a session leaves that session as it was.
 *
 * Two devices may have several Signal sessions with each other, and a message does not say which one
 * it belongs to: libsignal 6.0.0 tries one after the other, and moves the ratchet of each before it
 * knows whether the message fits. When a later one fits, all are stored, and those that were tried
 * before are ruined. Among them is usually the newest, the one that we write with: from then on the
 * phone can read nothing of ours.
 */

import libsignal from "libsignal";

const MENDED = Symbol("mended");

/** Mend it; harmless where it has been mended. */
export function keepSessionsWhole() {
  const { prototype } = libsignal.SessionCipher;
  if (prototype[MENDED]) return;
  const decrypt = prototype.doDecryptWhisperMessage;
  prototype.doDecryptWhisperMessage = async function (ciphertext, session) {
    const before = session?.serialize();
    try {
      return await decrypt.call(this, ciphertext, session);
    } catch (error) {
      if (before) Object.assign(session, session.constructor.deserialize(before));
      throw error;
    }
  };
  prototype[MENDED] = true;
}
