/**
 * The login: credentials and Signal keys, one file each, in a directory of the owner's.
 *
 * The names are those of Baileys' own multi-file state, so that a login made by another program with
 * it can be moved here. Unlike there, a file is never seen half written, nothing is reported as
 * stored before it is on the disk, and credentials that cannot be read are an error and not the
 * beginning of a new login.
 */

import { readFile, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { BufferJSON, initAuthCreds, proto } from "baileys";
import { coalesce, privateDirectory, removeTemporary, replaceFile, syncDirectory } from "./files.mjs";
import { Recent } from "./recent.mjs";

const CREDENTIALS = "creds.json";
const AT_ONCE = 16;
const CACHED = 5000;

/** Open the login in a directory; it is made where it is not there. */
export async function openAuth(directory) {
  await privateDirectory(directory);
  await removeTemporary(directory);
  const auth = new Auth(directory);
  auth.creds = await readCredentials(join(directory, CREDENTIALS));
  return auth;
}

/** Whether a phone has accepted these credentials. A pairing that was begun does not count. */
export function isLinked(creds) {
  return Boolean(creds.account && creds.me?.id);
}

class Auth {
  constructor(directory) {
    this.directory = directory;
    this.creds = null;
    this._queues = new Map();
    this._texts = new Recent(CACHED); // file name -> its text, null where there is none
    this._slots = AT_ONCE;
    this._waiting = [];
    this._sync = coalesce(() => syncDirectory(directory));
  }

  get linked() {
    return isLinked(this.creds);
  }

  /** What Baileys' socket takes as `auth`. */
  get state() {
    return { creds: this.creds, keys: { get: this.get.bind(this), set: this.set.bind(this) } };
  }

  /** Forget a pairing that was begun and not finished: the server would take it for a login. */
  dropUnfinished() {
    if (this.linked) return;
    this.creds = initAuthCreds();
  }

  async saveCreds() {
    await this._write(CREDENTIALS, JSON.stringify(this.creds, BufferJSON.replacer));
    await this._sync();
  }

  async get(type, ids) {
    const values = {};
    await Promise.all(
      ids.map(async (id) => {
        const value = await this._read(fileName(type, id));
        if (value === null) return;
        values[id] =
          type === "app-state-sync-key" ? proto.Message.AppStateSyncKeyData.fromObject(value) : value;
      }),
    );
    return values;
  }

  /**
   * Store, replace and (null) remove keys; returns when that is on the disk. What is removed goes
   * last: killed in between, a pre-key must not be gone while the session made of it is not there.
   */
  async set(data) {
    const all = Object.entries(data).flatMap(([type, entries]) =>
      Object.entries(entries ?? {}).map(([id, value]) => [fileName(type, id), value]),
    );
    const kept = all.filter(([, value]) => value);
    const removed = all.filter(([, value]) => !value);
    const stored = Promise.all(
      kept.map(([name, value]) => this._write(name, JSON.stringify(value, BufferJSON.replacer))),
    ).then(() => this._sync());
    // All take their places at once: what is asked after this must not come before it.
    await Promise.all([stored, ...removed.map(([name]) => this._remove(name, stored))]);
    if (removed.length) await this._sync();
  }

  /** Remove the login, and nothing else that lies in the directory. */
  async wipe() {
    await Promise.allSettled([...this._queues.values()]);
    // The credentials go first: what is left without them is no login.
    await this._remove(CREDENTIALS);
    for (const name of await readdir(this.directory)) {
      if (KEY_FILE.test(name)) await rm(join(this.directory, name), { force: true });
    }
    await this._sync();
    this._texts = new Recent(CACHED);
    this.creds = initAuthCreds();
  }

  /** Returns when everything given to us is on the disk. */
  async settled() {
    await Promise.allSettled([...this._queues.values()]);
    await this._sync();
  }

  async _read(name) {
    await this._queues.get(name)?.catch(() => {});
    if (!this._texts.has(name)) this._texts.set(name, await readText(join(this.directory, name)));
    const text = this._texts.get(name);
    try {
      // Parsed each time: what a transaction does to a value must not show before it is stored.
      return text === null ? null : JSON.parse(text, BufferJSON.reviver);
    } catch (error) {
      if (error instanceof SyntaxError) return null; // WhatsApp's devices agree on a new key
      throw error;
    }
  }

  _write(name, text) {
    return this._enqueue(name, async () => {
      await replaceFile(join(this.directory, name), text);
      this._texts.set(name, text);
    });
  }

  _remove(name, after) {
    const work = async () => {
      await rm(join(this.directory, name), { force: true });
      this._texts.set(name, null);
    };
    return this._enqueue(name, work, after);
  }

  /** One file is worked on in the order asked, different ones side by side, so many at a time. */
  _enqueue(name, work, after = undefined) {
    const before = this._queues.get(name) ?? Promise.resolve();
    const mine = before
      .catch(() => {})
      .then(() => after)
      .then(() => this._slot(work))
      .finally(() => {
        if (this._queues.get(name) === mine) this._queues.delete(name);
      });
    this._queues.set(name, mine);
    return mine;
  }

  async _slot(work) {
    if (this._slots > 0) this._slots -= 1;
    else await new Promise((resolve) => this._waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this._waiting.shift();
      if (next) next();
      else this._slots += 1;
    }
  }
}

const KEY_FILE =
  /^(pre-key|session|sender-key|sender-key-memory|app-state-sync-key|app-state-sync-version|lid-mapping|device-list|tctoken|identity-key)-.*\.json$/;

function fileName(type, id) {
  return `${type}-${id}.json`.replaceAll("/", "__").replaceAll(":", "-");
}

async function readText(path) {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (error.code === "ENOENT") return null;
    throw error;
  }
}

async function readCredentials(path) {
  const text = await readText(path);
  if (text === null) return initAuthCreds();
  try {
    return JSON.parse(text, BufferJSON.reviver);
  } catch {
    throw new Error(
      `the WhatsApp login in ${path} cannot be read; restore it from a backup, or log out and link again`,
    );
  }
}
