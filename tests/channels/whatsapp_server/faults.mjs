// What goes wrong, when the test asks for it. A fault is set with how often it shall happen
// (`count`, for ever by default) and with what it shall happen to; one that has happened often
// enough is forgotten.

/** The kinds there are, and what each does. */
export const KINDS = {
  silence: "nothing is answered and nothing sent; the connection stays open",
  refuseConnection: "a WebSocket connection is refused with HTTP 503",
  refuseLogin: "a login is refused: `reason`, a number (503 by default)",
  refuseMessage: "a message is not taken, its ack says `error` (a number, 479 by default)",
  loseMessage: "a message is lost on its way in: not taken, not acknowledged",
  loseAck: "a message is taken, but its ack and the receipts for it are lost",
  lateAck: "the ack of a message and the receipts for it come late, after those of the next",
  cutAfterMessage: "a message is taken, then the connection cut instead of acknowledging it",
  refuseQuery: "an iq (of `xmlns`, any by default) is answered with error `code` (429 by default)",
  loseReceipt: "a receipt of the client is lost: the message counts as not delivered",
  spoilMessage: "a message to the client is damaged on its way: it cannot be read",
  failDecryption: "the phone of `number` cannot read a message, and asks for it again",
  failUpload: "an upload of media fails with HTTP `code` (500 by default)",
  failDownload: "a download of media fails with HTTP `code` (404 by default)",
};

export class Faults {
  #set = [];

  /** Have something go wrong. Throws on a kind that does not exist. */
  add({ kind, count = Infinity, ...rest }) {
    if (!(kind in KINDS))
      throw new Error(
        `there is no fault ${JSON.stringify(kind)}; there are ${Object.keys(KINDS).join(", ")}`,
      );
    this.#set.push({ kind, left: count, ...rest });
  }

  /** Forget the faults of a kind, or all. */
  clear(kind = undefined) {
    this.#set = this.#set.filter((fault) => kind !== undefined && fault.kind !== kind);
  }

  /** Whether a fault of that kind is set. */
  active(kind) {
    return this.#set.some((fault) => fault.kind === kind);
  }

  /** The fault that happens now, if one does. */
  take(kind, fits = () => true) {
    const fault = this.#set.find((one) => one.kind === kind && fits(one));
    if (fault && --fault.left <= 0) this.#set.splice(this.#set.indexOf(fault), 1);
    return fault;
  }
}
