/**
 * The Channels panel: how every account is doing, who waits to be let in, logging in and out.
 *
 * It lies in front of the chat. What it shows is read when it opens, after whatever is done in it,
 * and when the Gateway says that something has changed; who waits is known while it is closed, too,
 * and counted on its button. A button is there only for those whose scopes let it work.
 */

import { AccountCard } from "./channel-account.js";
import { ChannelLogin } from "./channel-login.js";
import { el, icon, iconButton } from "./dom.js";
import { Strangers } from "./strangers.js";

const NOTHING = "No channel is set up. To add one, run this on the Gateway’s machine:";
const HOW = "clawgw channels add";

/**
 * @typedef {(method: string, params: object, timeoutMs?: number) => Promise<any>} Ask
 * @typedef {{ask: Ask, announce: (text: string) => void,
 *   onLabels: (labels: Record<string, string>) => void}} Actions
 */

/** The panel, and the button that opens it. */
export class Channels {
  /** @param {HTMLButtonElement} button @param {HTMLDialogElement} dialog @param {Actions} actions */
  constructor(button, dialog, actions) {
    this.button = button;
    this.dialog = dialog;
    this.actions = actions;
    /** @type {(scope: string) => boolean} */
    this.may = () => false;
    /** @type {Record<string, string>} what channels are called */
    this.labels = {};
    /** @type {Map<string, AccountCard>} */
    this.cards = new Map();
    /** @type {ChannelLogin|null} */
    this.login = null;
    this.loadStatus = oneAtATime(() => this.readStatus());
    this.loadStrangers = oneAtATime(() => this.readStrangers());
    this.build();
  }

  build() {
    this.count = el("span", { class: "count", attrs: { "aria-hidden": "true" } });
    this.button.append(icon("channels"), el("span", { text: "Channels" }), this.count);
    this.button.addEventListener("click", () => this.open());
    this.title = el("h2", { text: "Channels", attrs: { id: "channels-title", tabindex: "-1" } });
    this.live = el("p", { class: "unseen", attrs: { role: "status" } });
    this.problem = el("p", { class: "wrong", attrs: { role: "alert" } });
    this.accounts = el("ul", { class: "accounts" });
    this.empty = el("div", { class: "nothing", attrs: { hidden: true } },
      el("p", { text: NOTHING }), el("code", { text: HOW }));
    this.strangers = new Strangers({
      decide: (method, params) => this.actions.ask(method, params),
      labelOf: (channel) => this.labelOf(channel),
      onChanged: () => this.loadStrangers(),
      onFocusLost: () => this.title?.focus(),
    });
    this.dialog.setAttribute("aria-labelledby", "channels-title");
    this.dialog.append(
      el("header", {}, this.title, iconButton("cross", "Close", () => this.dialog.close())),
      this.live,
      el("div", { class: "panel-body" }, this.problem, this.strangers.waiting,
        el("section", { attrs: { "aria-label": "Accounts" } }, this.accounts, this.empty),
        this.strangers.approved));
    this.showCount(0);
  }

  /** @param {(scope: string) => boolean} may */
  setScopes(may) {
    this.may = may;
    this.button.hidden = !may("operator.read");
    for (const card of this.cards.values()) card.setScopes(may);
    if (!may("operator.pairing")) this.showStrangers({ pending: [], approved: [] });
  }

  /** The Gateway is there (again). */
  welcomed() {
    this.loadStrangers();
    if (this.dialog.open) this.loadStatus();
  }

  /** The Gateway says how it is. @param {any} health */
  showHealth(health) {
    this.learnLabels(health.channelLabels);
    if (!this.dialog.open) return;
    this.loadStatus();
    this.loadStrangers(); // their codes are good for an hour
  }

  /** @param {any} stranger who has just asked */
  asked(stranger) {
    this.announce(`${who(stranger)} on ${this.labelOf(stranger.channel)} waits to be let in.`);
    this.loadStrangers();
  }

  /** @param {any} resolved */
  resolved(resolved) {
    this.announce(`${who(resolved)} was ${resolved.decision}.`);
    this.loadStrangers();
  }

  open() {
    if (this.dialog.open) return;
    this.dialog.showModal();
    this.title?.focus();
    this.loadStatus();
    this.loadStrangers();
  }

  close() {
    this.login?.close();
    this.dialog.close();
  }

  // What the Gateway knows -------------------------------------------------------------------

  async readStatus() {
    if (!this.may("operator.read")) return;
    try {
      this.showStatus(await this.actions.ask("channels.status", {}));
      this.complain("");
    } catch (error) {
      this.complain(`The channels could not be read. ${messageOf(error)}`);
    }
  }

  async readStrangers() {
    if (!this.may("operator.pairing")) return;
    try {
      this.showStrangers(await this.actions.ask("channel.pair.list", {}));
    } catch {
      // a Gateway without channels, or a lost line: the panel says so when it is opened
    }
  }

  /** @param {any} status as `channels.status` answers */
  showStatus(status) {
    this.learnLabels(status.channelLabels);
    const found = (status.channelOrder ?? []).flatMap((/** @type {string} */ channel) =>
      (status.channelAccounts?.[channel] ?? []).map((/** @type {any} */ row) => ({
        channel, label: this.labelOf(channel), ...row })));
    const before = this.cards;
    this.cards = new Map(found.map((/** @type {any} */ row) => {
      const key = `${row.channel}/${row.accountId}`;
      return [key, before.get(key) ?? this.newCard()];
    }));
    for (const row of found) this.cards.get(`${row.channel}/${row.accountId}`)?.show(row);
    this.arrange([...this.cards.values()].map((card) => card.node));
    if (this.empty) this.empty.hidden = found.length > 0;
  }

  newCard() {
    const card = new AccountCard({
      ask: this.actions.ask,
      onLogin: (account) => this.logIn(account),
      onChanged: () => this.loadStatus(),
    });
    card.setScopes(this.may);
    return card;
  }

  /** Nothing is moved that is in its place: what has the focus keeps it. @param {Node[]} nodes */
  arrange(nodes) {
    const list = this.accounts;
    if (list && nodes.some((node, at) => list.childNodes[at] !== node)) {
      list.replaceChildren(...nodes);
    } else {
      while (list && list.childNodes.length > nodes.length) list.lastChild?.remove();
    }
  }

  /** @param {{pending?: any[], approved?: any[]}} found */
  showStrangers(found) {
    this.strangers?.show(found.pending ?? [], found.approved ?? []);
    this.showCount(found.pending?.length ?? 0);
  }

  /** @param {number} count */
  showCount(count) {
    if (this.count) this.count.textContent = count ? String(count) : "";
    const people = count === 1 ? "1 person waits" : `${count} people wait`;
    this.button.setAttribute("aria-label",
      count ? `Channels: ${people} to be let in` : "Channels");
    document.body.toggleAttribute("data-strangers", count > 0);
  }

  // What is done here ------------------------------------------------------------------------

  /** @param {import("./channel-account.js").Row} account */
  logIn(account) {
    this.login = new ChannelLogin(account, this.actions.ask, () => {
      this.login = null;
      this.loadStatus();
    });
    this.login.open();
  }

  /** @param {Record<string, string>|undefined} labels */
  learnLabels(labels) {
    Object.assign(this.labels, labels);
    this.actions.onLabels(this.labels);
  }

  /** @param {string} channel @returns {string} */
  labelOf(channel) {
    return this.labels[channel] ?? channel;
  }

  /** @param {string} text */
  complain(text) {
    if (this.problem) this.problem.textContent = text;
  }

  /** Say it where it is heard: what lies behind the panel is silent. @param {string} text */
  announce(text) {
    if (this.dialog.open && this.live) this.live.textContent = text;
    else this.actions.announce(text);
  }
}

/** @param {{name?: string, sender: string}} stranger @returns {string} */
function who({ name, sender }) {
  return name || sender;
}

/** @param {unknown} error @returns {string} */
function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Calls that come while one is going on become one more.
 * @param {() => Promise<void>} read
 * @returns {() => Promise<void>}
 */
function oneAtATime(read) {
  let going = false;
  let again = false;
  return async () => {
    again = true;
    if (going) return;
    going = true;
    try {
      while (again) {
        again = false;
        await read();
      }
    } finally {
      going = false;
    }
  };
}
