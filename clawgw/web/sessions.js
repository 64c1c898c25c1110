/**
 * The list of sessions: what they are called, what was said last, and switching between them.
 */

import { el, shortTime } from "./dom.js";

const PAGE = 50;

/**
 * @typedef {{key: string, label?: string, derivedTitle?: string, displayName?: string,
 *   lastMessagePreview?: string, updatedAt?: number, status?: string, isMain?: boolean,
 *   channel?: string, lastChannel?: string}} Row
 */

/**
 * The name of a session: as given, as derived from its first words, or made from its key.
 * @param {Row|undefined} row
 * @param {string} key
 * @returns {string}
 */
export function sessionTitle(row, key) {
  const given = row?.label || row?.derivedTitle || row?.displayName;
  if (given) return given;
  const rest = key.split(":").slice(2).join(":") || key;
  if (rest === "main") return "Main";
  if (rest.startsWith("web-")) return "New chat";
  return rest;
}

/**
 * The channel that a session belongs to. The main session belongs to none: it hears of all.
 * @param {Row} row
 * @param {Record<string, string>} labels what channels are called
 * @returns {string} its name; empty: none that is known
 */
export function sessionChannel({ key, isMain, channel, lastChannel }, labels) {
  if (isMain) return "";
  const names = [channel, key.split(":")[2], lastChannel];
  const known = names.find((name) => name && Object.hasOwn(labels, name));
  return known ? labels[known] : "";
}

/**
 * A key for a new session of an agent.
 * @param {string} agentId
 * @returns {string}
 */
export function newSessionKey(agentId) {
  const random = crypto.getRandomValues(new Uint8Array(5));
  const short = [...random].map((byte) => byte.toString(36).padStart(2, "0")).join("").slice(0, 8);
  return `agent:${agentId}:web-${short}`.toLowerCase();
}

/** The list in the sidebar. */
export class SessionList {
  /**
   * @param {HTMLElement} node
   * @param {{onSelect: (key: string) => void, onMore: () => void}} actions
   */
  constructor(node, actions) {
    this.node = node;
    this.actions = actions;
    this.limit = PAGE; // how many are asked for
    this.hasMore = false;
    /** @type {Row[]} */
    this.rows = [];
    this.current = "";
    /** @type {Record<string, string>} what channels are called */
    this.channels = {};
    /** @type {Set<string>} sessions where something happened that was not seen */
    this.unseen = new Set();
  }

  /** @param {string} key @returns {Row|undefined} */
  find(key) {
    return this.rows.find((row) => row.key === key);
  }

  /** @param {Row[]} rows newest first @param {boolean} hasMore whether there are older ones */
  setRows(rows, hasMore) {
    this.rows = rows;
    this.hasMore = hasMore;
    this.draw();
  }

  /** @param {string} key */
  remove(key) {
    this.setRows(this.rows.filter((row) => row.key !== key), this.hasMore);
  }

  /** @param {string} key */
  setCurrent(key) {
    this.current = key;
    this.unseen.delete(key);
    this.draw();
  }

  /** @param {Record<string, string>} labels what channels are called */
  setChannels(labels) {
    if (JSON.stringify(labels) === JSON.stringify(this.channels)) return;
    this.channels = { ...labels };
    this.draw();
  }

  /** Something happened in a session. @param {string} key */
  touch(key) {
    if (key === this.current || this.unseen.has(key)) return;
    this.unseen.add(key);
    this.draw();
  }

  draw() {
    const known = this.rows.some((row) => row.key === this.current);
    const rows = known || !this.current ? this.rows : [{ key: this.current }, ...this.rows];
    const focused = /** @type {HTMLElement|null} */ (document.activeElement)?.dataset?.key;
    const more = this.hasMore ? [this.moreButton()] : [];
    this.node.replaceChildren(...rows.map((row) => this.entry(row)), ...more);
    /** @type {NodeListOf<HTMLElement>} */
    const buttons = this.node.querySelectorAll("[data-key]");
    if (focused) [...buttons].find((button) => button.dataset.key === focused)?.focus();
  }

  moreButton() {
    const ask = () => {
      this.limit += PAGE;
      this.actions.onMore();
    };
    return el("li", {}, el("button", { class: "older", text: "Show more", attrs: { type: "button" },
      on: { click: ask } }));
  }

  /** @param {Row} row */
  entry(row) {
    const current = row.key === this.current;
    const title = el("span", { class: "session-title", text: sessionTitle(row, row.key) });
    const time = el("span", { class: "session-time", text: shortTime(row.updatedAt) });
    const channel = sessionChannel(row, this.channels);
    const where = channel && el("span", { class: "session-channel", text: channel });
    const preview = el("span", { class: "session-preview", text: row.lastMessagePreview ?? "" });
    if (where) preview.prepend(where);
    const mark = this.unseen.has(row.key) || row.status === "running";
    const button = el("button", {
      class: "session",
      attrs: {
        type: "button", "data-key": row.key, "aria-current": current && "true",
        "data-mark": mark && (row.status === "running" ? "running" : "unseen"),
      },
      on: { click: () => this.actions.onSelect(row.key) },
    }, title, time, preview);
    return el("li", {}, button);
  }
}
