/**
 * One account of a channel: how it is doing, in words, and what can be done about it.
 *
 * A card is made once and then shows what is new, so that nothing jumps away under a finger.
 */

import { askConfirm } from "./dialogs.js";
import { el, shortTime } from "./dom.js";

const PROBE_MS = 10_000;
const GRACE_MS = 10_000;
const LOGOUT_MS = 60_000;

const LOGOUT_TEXT = "The Gateway is unlinked from the phone. Nothing comes in or goes out until"
  + " somebody logs in again.";

/**
 * @typedef {{channel: string, label: string, accountId: string, name?: string, enabled: boolean,
 *   configured: boolean, connected: boolean, healthState: string, linked?: boolean,
 *   canLogin?: boolean, canLoginByCode?: boolean, reconnectAttempts?: number, lastError?: string,
 *   warning?: string, lastInboundAt?: number, lastOutboundAt?: number}} Row of `channels.status`
 * @typedef {{ask: import("./channels.js").Ask, onLogin: (account: Row) => void,
 *   onChanged: () => void}} Actions
 */

/**
 * How an account is doing: a mood for the colour, and words.
 * @param {Row} row
 * @returns {["good"|"waiting"|"bad"|"off", string]}
 */
export function stateOf(row) {
  if (!row.enabled) return ["off", "Switched off"];
  if (!row.configured) return ["bad", "Not set up"];
  if (row.connected) return row.warning ? ["waiting", "Connected, with trouble"]
    : ["good", "Connected"];
  switch (row.healthState) {
    case "starting": return ["waiting", "Connecting"];
    case "reconnecting": return ["waiting", tries(row.reconnectAttempts ?? 0)];
    case "logged-out": return ["bad", "Not logged in"];
    case "failed": return ["bad", "Stopped: it needs your help"];
    default: return ["off", "Stopped"];
  }
}

/** @param {number} count @returns {string} */
function tries(count) {
  return count > 1 ? `Trying again, attempt ${count}` : "Trying again";
}

/** The card of an account. */
export class AccountCard {
  /** @param {Actions} actions */
  constructor(actions) {
    this.actions = actions;
    this.mayLogin = false;
    this.busy = false;
    /** @type {Row|null} */
    this.row = null;
    this.title = el("h3");
    this.account = el("span", { class: "muted" });
    this.state = el("span", { class: "account-state" });
    this.error = el("p", { class: "wrong" });
    this.warning = el("p", { class: "warning" });
    this.inbound = el("dd");
    this.outbound = el("dd");
    this.times = el("dl", {},
      el("div", {}, el("dt", { text: "Last message in:" }), " ", this.inbound),
      el("div", {}, el("dt", { text: "Last message out:" }), " ", this.outbound));
    this.outcome = el("p", { class: "outcome", attrs: { role: "status" } });
    this.probe = this.button("Check", () => this.check());
    this.logIn = this.button("Log in", () => this.row && this.actions.onLogin(this.row), "primary");
    this.logOut = this.button("Log out", () => this.askLogout(), "danger");
    this.node = el("li", { class: "account" },
      el("div", { class: "account-head" },
        el("div", { class: "account-name" }, this.title, this.account), this.state),
      this.error, this.warning, this.times, this.outcome,
      el("div", { class: "choices" }, this.logOut, this.probe, this.logIn));
  }

  /** @param {string} text @param {() => void} act @param {string} [className] */
  button(text, act, className = "") {
    return el("button", { class: className, text, attrs: { type: "button" }, on: { click: act } });
  }

  /** @param {(scope: string) => boolean} may */
  setScopes(may) {
    this.mayLogin = may("operator.admin");
    if (this.row) this.show(this.row);
  }

  /** @param {Row} row */
  show(row) {
    this.row = row;
    const [mood, words] = stateOf(row);
    this.node.dataset.mood = mood;
    put(this.title, row.label);
    put(this.account, nameOf(row));
    put(this.state, words);
    put(this.error, row.connected ? "" : capital(row.lastError));
    put(this.warning, capital(row.warning));
    this.times.hidden = !row.enabled;
    putTime(this.inbound, row.lastInboundAt);
    putTime(this.outbound, row.lastOutboundAt);
    this.showButtons(row);
  }

  /** @param {Row} row */
  showButtons(row) {
    const able = row.enabled && row.configured;
    const login = able && this.mayLogin && row.canLogin === true;
    this.probe.hidden = !able;
    this.logIn.hidden = !login || row.connected
      || (row.linked !== false && row.healthState !== "failed");
    this.logOut.hidden = !login || row.linked === false;
    const whose = [row.label, nameOf(row)].filter(Boolean).join(" ");
    this.probe.setAttribute("aria-label", `Check ${whose}`);
    this.logIn.setAttribute("aria-label", `Log in to ${whose}`);
    this.logOut.setAttribute("aria-label", `Log out of ${whose}`);
    for (const button of [this.probe, this.logIn, this.logOut]) {
      button.setAttribute("aria-disabled", String(this.busy));
    }
  }

  check() {
    return this.during("Checking…", async ({ channel, accountId }) => {
      const params = { probe: true, timeoutMs: PROBE_MS, channel };
      const status = await this.actions.ask("channels.status", params, PROBE_MS + GRACE_MS);
      const rows = status.channelAccounts?.[channel] ?? [];
      const found = rows.find((/** @type {any} */ row) => row.accountId === accountId);
      return probeText(found?.probe);
    });
  }

  async askLogout() {
    const { row } = this;
    if (!row || this.busy) return;
    const whose = [row.label, nameOf(row)].filter(Boolean).join(" ");
    const sure = await askConfirm({ title: `Log out of ${whose}?`, danger: true,
      text: LOGOUT_TEXT, confirm: "Log out" });
    if (!sure) return;
    await this.during("Logging out…", async ({ channel, accountId }) => {
      const answer = await this.actions.ask("channels.logout", { channel, accountId }, LOGOUT_MS);
      return [true, answer.cleared ? "Logged out." : "There was no login to give up."];
    });
  }

  /**
   * Do something that takes a while, and say how it went. The button keeps the focus meanwhile.
   * @param {string} words
   * @param {(row: Row) => Promise<[boolean, string]>} act
   */
  async during(words, act) {
    if (!this.row || this.busy) return;
    this.busy = true;
    this.showButtons(this.row);
    this.say(true, words);
    try {
      this.say(...await act(this.row));
    } catch (error) {
      this.say(false, capital(error instanceof Error ? error.message : String(error)));
    }
    this.busy = false;
    this.showButtons(this.row);
    this.actions.onChanged();
  }

  /** @param {boolean} good @param {string} words */
  say(good, words) {
    this.outcome.classList.toggle("wrong", !good);
    this.outcome.textContent = words;
  }
}

/** The name that tells accounts of a channel apart. @param {Row} row @returns {string} */
function nameOf({ name, accountId }) {
  const account = accountId === "default" ? "" : accountId;
  return name && account && name !== account ? `${name} (${account})` : name || account;
}

/** @param {any} probe what the provider said @returns {[boolean, string]} */
function probeText(probe) {
  if (!probe) return [false, "It is not running, so it could not be asked."];
  if (probe.ok === false) return [false, `Did not work: ${probe.error ?? "nobody knows why"}`];
  return [true, `It works: answered in ${probe.elapsedMs ?? 0} ms.`];
}

/**
 * A problem with a capital letter, unless it begins with what is no word, as a setting's name.
 * @param {string|undefined} text
 * @returns {string}
 */
function capital(text = "") {
  return /^[a-z]+(?=[\s,;:])/.test(text) ? text[0].toUpperCase() + text.slice(1) : text;
}

/** What is there already is not said again. @param {HTMLElement} node @param {string} text */
function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** @param {HTMLElement} node @param {number|undefined} ms */
function putTime(node, ms) {
  if (!ms) {
    put(node, "never");
    return;
  }
  const then = new Date(ms);
  node.replaceChildren(el("time", { text: shortTime(ms),
    attrs: { datetime: then.toISOString(), title: then.toLocaleString() } }));
}
