/**
 * Messages on their way to the Gateway.
 *
 * A message is kept in this browser until the Gateway has answered, under an idempotency key that
 * is made once. When the connection drops before the answer came, nobody here can know whether the
 * message arrived; it is sent again under the same key, and the Gateway makes sure it acts once.
 * A message that a visit long ago left behind is not sent by surprise: it waits for the person.
 */

import { ConnectionLost, RequestError } from "./connection.js";

const PREFIX = "outbox.";
const STALE_MS = 10 * 60_000;
const STALE = "This message was written earlier and not sent.";
const RETRY_MS = 2_000;

/**
 * @typedef {{id: string, sessionKey: string, text: string, createdAt: number,
 *   error?: string}} Entry an entry with an error waits for the person
 * @typedef {(entry: Entry, outcome: {kind: "accepted"}|{kind: "rejected", error: string}) => void}
 *   OnOutcome
 */

/** The messages that the Gateway has not confirmed. */
export class Outbox {
  /**
   * @param {import("./storage.js").BrowserStorage} storage
   * @param {(method: string, params: object) => Promise<any>} request
   * @param {OnOutcome} onOutcome
   */
  constructor(storage, request, onOutcome) {
    this.storage = storage;
    this.request = request;
    this.onOutcome = onOutcome;
    /** @type {Map<string, Entry>} in the order they were written */
    this.entries = new Map();
    this.sending = false;
    this.load();
  }

  /** @param {string} sessionKey @returns {Entry[]} */
  of(sessionKey) {
    return [...this.entries.values()].filter((entry) => entry.sessionKey === sessionKey);
  }

  /** Keep a new message. @param {string} sessionKey @param {string} text @returns {Entry} */
  add(sessionKey, text) {
    const entry = { id: crypto.randomUUID(), sessionKey, text, createdAt: Date.now() };
    this.keep(entry);
    return entry;
  }

  /** Try a message again that waits for the person. @param {string} id */
  retry(id) {
    const entry = this.entries.get(id);
    if (entry) this.keep({ ...entry, error: undefined, createdAt: Date.now() });
  }

  /** Forget a message. @param {string} id */
  discard(id) {
    this.entries.delete(id);
    this.storage.write(PREFIX + id, null);
  }

  /** Send what waits, in order, one at a time, until the connection is lost. */
  async flush() {
    if (this.sending) return;
    this.sending = true;
    try {
      for (let entry = this.next(); entry; entry = this.next()) await this.send(entry);
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
    } finally {
      this.sending = false;
    }
  }

  /** @returns {Entry|undefined} */
  next() {
    return [...this.entries.values()].find((entry) => !entry.error);
  }

  /** @param {Entry} entry @throws {ConnectionLost} */
  async send(entry) {
    const { id, sessionKey, text } = entry;
    try {
      await this.request("chat.send", { sessionKey, message: text, idempotencyKey: id });
      this.discard(id);
      this.onOutcome(entry, { kind: "accepted" });
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      if (error.retryable) await pause(error.retryAfterMs ?? RETRY_MS);
      else this.reject(entry, error.message);
    }
  }

  /** @param {Entry} entry @param {string} error */
  reject(entry, error) {
    this.keep({ ...entry, error });
    this.onOutcome(entry, { kind: "rejected", error });
  }

  /** @param {Entry} entry */
  keep(entry) {
    this.entries.set(entry.id, entry);
    this.storage.write(PREFIX + entry.id, JSON.stringify(entry));
  }

  load() {
    const names = this.storage.names(PREFIX);
    const found = names.flatMap((name) => parse(this.storage.read(name)) ?? []);
    found.sort((one, other) => one.createdAt - other.createdAt);
    for (const entry of found) {
      const stale = Date.now() - entry.createdAt > STALE_MS;
      this.entries.set(entry.id, { ...entry, error: entry.error ?? (stale ? STALE : undefined) });
    }
  }
}

/** @param {string|null} text @returns {Entry|null} */
function parse(text) {
  try {
    const entry = JSON.parse(text ?? "null");
    return entry?.id && entry.sessionKey && typeof entry.text === "string" ? entry : null;
  } catch {
    return null;
  }
}

/** @param {number} ms @returns {Promise<void>} */
function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
