/**
 * The last messages we sent, for phones that could not read one and ask for it again, which they may
 * do after we have been started anew. Kept in a file that is rewritten when it has doubled; losing
 * its end to a power cut loses no message, only the means to repeat it.
 */

import { appendFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { proto } from "baileys";
import { replaceFile } from "./files.mjs";
import { Recent } from "./recent.mjs";

const NAME = "sent.jsonl";
const KEPT = 500;

/** Open the log of a directory. */
export async function openSent(directory) {
  const sent = new Sent(join(directory, NAME));
  await sent._load();
  return sent;
}

class Sent {
  constructor(path) {
    this._path = path;
    this._lines = new Recent(KEPT); // message id -> its line
    this._written = 0;
    this._tail = Promise.resolve();
  }

  /** The content of a message we sent, as a proto.Message. */
  get(id) {
    const line = this._lines.get(id);
    if (!line) return undefined;
    return proto.Message.decode(Buffer.from(JSON.parse(line).content, "base64"));
  }

  /** Remember a message. */
  add(id, message) {
    const content = Buffer.from(proto.Message.encode(message).finish()).toString("base64");
    const line = `${JSON.stringify({ id, content })}\n`;
    this._lines.set(id, line);
    this._written += 1;
    const work = this._written > 2 * KEPT ? () => this._rewrite() : () => appendFile(this._path, line, { mode: 0o600 });
    this._tail = this._tail.then(work, work);
    return this._tail;
  }

  /** Forget everything: another account may be linked next. */
  clear() {
    this._lines = new Recent(KEPT);
    return (this._tail = this._tail.then(() => this._rewrite()));
  }

  async _load() {
    const text = await readFile(this._path, "utf8").catch((error) => {
      if (error.code === "ENOENT") return "";
      throw error;
    });
    for (const line of text.split("\n").slice(0, -1)) {
      try {
        this._lines.set(JSON.parse(line).id, `${line}\n`);
      } catch {
        continue; // half a line, from a power cut
      }
    }
    await this._rewrite();
  }

  async _rewrite() {
    this._written = this._lines.size;
    await replaceFile(this._path, [...this._lines.values()].join(""));
  }
}
