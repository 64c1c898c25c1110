/**
 * Received messages until the Gateway has stored them: an append-only file, one JSON object a line.
 *
 * `{"seq": 7, "message": {…}}` is a message, `{"done": [7]}` says that the Gateway has it. A message
 * is on the disk when `append` returns, and only then do we tell WhatsApp that we have it (the caller
 * sees to that); what the Gateway has confirmed may be said again after a power cut, which it knows
 * how to recognise. A last line without its end is what a kill left, and was never promised.
 */

import { open, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { coalesce, replaceFile, syncDirectory } from "./files.mjs";

const NAME = "spool.jsonl";
const COMPACT_BYTES = 1024 * 1024;

/** Open the spool of a directory. */
export async function openSpool(directory) {
  const spool = new Spool(join(directory, NAME));
  await spool._load();
  return spool;
}

class Spool {
  constructor(path) {
    this._path = path;
    this._waiting = new Map(); // seq -> message, in order
    this._last = 0;
    this._size = 0;
    this._limit = COMPACT_BYTES; // when the file is written anew; never mostly what is done with
    this._handle = null;
    this._tail = Promise.resolve();
    this._sync = coalesce(() => this._handle.datasync());
  }

  /** What the Gateway has not confirmed: [seq, message] pairs, oldest first. */
  get unconfirmed() {
    return [...this._waiting];
  }

  /** Store a message; returns its number once it is on the disk. */
  async append(message) {
    const seq = ++this._last;
    this._waiting.set(seq, message);
    await this._write({ seq, message });
    await this._sync();
    return seq;
  }

  /** The Gateway has these. Numbers we do not know are ignored. */
  async confirm(seqs) {
    const done = seqs.filter((seq) => this._waiting.delete(seq));
    if (done.length) await this._write({ done });
    if (this._size > this._limit) await this._serial(() => (this._size > this._limit ? this._compact() : undefined));
  }

  async close() {
    await this._serial(() => this._handle?.close());
    this._handle = null;
  }

  _serial(work) {
    const mine = this._tail.then(work);
    this._tail = mine.catch(() => {});
    return mine;
  }

  _write(record) {
    const line = Buffer.from(`${JSON.stringify(record)}\n`);
    return this._serial(async () => {
      await this._handle.appendFile(line);
      this._size += line.length;
    });
  }

  async _load() {
    let text = "";
    try {
      text = await readFile(this._path, "utf8");
    } catch (error) {
      if (error.code !== "ENOENT") throw error;
    }
    for (const line of text.split("\n").slice(0, -1)) this._replay(line);
    await this._compact();
  }

  _replay(line) {
    let record;
    try {
      record = JSON.parse(line);
    } catch {
      return; // what a power cut made of a line; it had not been acknowledged
    }
    if (Number.isInteger(record.seq)) {
      this._last = Math.max(this._last, record.seq);
      if (record.message) this._waiting.set(record.seq, record.message);
    }
    for (const seq of Array.isArray(record.done) ? record.done : []) this._waiting.delete(seq);
  }

  /** Write the file anew with what is waiting; the last number stays known. */
  async _compact() {
    const records = [{ seq: this._last }];
    for (const [seq, message] of this._waiting) records.push({ seq, message });
    const text = records.map((record) => `${JSON.stringify(record)}\n`).join("");
    await replaceFile(this._path, text);
    await syncDirectory(dirname(this._path));
    const old = this._handle;
    this._handle = await open(this._path, "a", 0o600);
    this._size = Buffer.byteLength(text);
    this._limit = Math.max(COMPACT_BYTES, 2 * this._size);
    await old?.close(); // a sync of it that goes on has its turn first
  }
}
