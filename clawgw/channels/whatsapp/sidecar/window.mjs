/**
 * Messages on their way to the Gateway: only so many that it has not confirmed.
 *
 * The others wait here, and are on the disk in the spool. So a Gateway that cannot store anything for
 * a while is not made to hold all that comes meanwhile.
 */

export const MOST = 1000;

export class Window {
  /** @param tell (seq, message): tells the Gateway */
  constructor(tell, most = MOST) {
    this._tell = tell;
    this._most = most;
    this._told = new Set();
    this._waiting = new Map(); // seq -> message, in order
  }

  /** There is a message to tell. */
  add(seq, message) {
    this._waiting.set(seq, message);
    this._go();
  }

  /** The Gateway has these. Numbers we do not know are ignored. */
  confirmed(seqs) {
    for (const seq of seqs) this._told.delete(seq);
    this._go();
  }

  _go() {
    for (const [seq, message] of this._waiting) {
      if (this._told.size >= this._most) return;
      this._waiting.delete(seq);
      this._told.add(seq);
      this._tell(seq, message);
    }
  }
}
