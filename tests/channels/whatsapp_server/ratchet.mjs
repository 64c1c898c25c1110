// libsignal 6.0.0, mended: it tries a message with one session after the other, and one with which
// it cannot be read is changed by that all the same, and stored when a later one fits. A phone that
// works with whole sessions is what is simulated here.
import libsignal from "libsignal";

/** A cipher that leaves a session as it was when a message does not belong to it. */
export class Cipher extends libsignal.SessionCipher {
  async doDecryptWhisperMessage(ciphertext, session) {
    const before = session?.serialize();
    try {
      return await super.doDecryptWhisperMessage(ciphertext, session);
    } catch (problem) {
      if (before) Object.assign(session, session.constructor.deserialize(before));
      throw problem;
    }
  }
}
