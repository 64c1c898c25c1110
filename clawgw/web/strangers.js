/**
 * Strangers: people who wrote to an account without being on its list.
 *
 * Each has got a code to tell the operator. Here they are let in, turned away, or, once let in, put
 * out again. Their names are their own choice: the id and the code tell who it really is.
 */

import { askConfirm } from "./dialogs.js";
import { el, shortTime } from "./dom.js";

/**
 * @typedef {{channel: string, accountId: string, sender: string, name: string, ts: number,
 *   code?: string, approvedAt?: number}} Stranger
 * @typedef {{decide: (method: string, params: object) => Promise<unknown>,
 *   labelOf: (channel: string) => string, onChanged: () => void, onFocusLost: () => void}} Actions
 */

/** Two lists: who waits, and who was let in. */
export class Strangers {
  /** @param {Actions} actions */
  constructor(actions) {
    this.actions = actions;
    /** @type {Map<string, HTMLElement>} rows on the screen, by who and what they show */
    this.rows = new Map();
    this.pending = el("ul", { class: "strangers" });
    this.waiting = el("section", { class: "waiting-strangers", attrs: {
      "aria-label": "Waiting to be let in", hidden: true } },
      el("h3", { text: "Waiting to be let in" }),
      el("p", { class: "muted", text: "They wrote without being on a list. Ask for the code that"
        + " they were given, so that you know who it is." }),
      this.pending);
    this.summary = el("summary");
    this.accepted = el("ul", { class: "strangers" });
    this.approved = el("details", { class: "approved-strangers", attrs: { hidden: true } },
      this.summary, this.accepted);
  }

  /** @param {Stranger[]} pending @param {Stranger[]} approved */
  show(pending, approved) {
    const focused = document.activeElement;
    const before = this.rows;
    this.rows = new Map();
    this.fill(this.pending, pending, before, (one) => this.pendingRow(one));
    this.fill(this.accepted, approved, before, (one) => this.approvedRow(one));
    this.waiting.hidden = pending.length === 0;
    this.approved.hidden = approved.length === 0;
    this.summary.textContent = `Let in (${approved.length})`;
    const lost = [...before.values()].some((row) => row.contains(focused) && !row.isConnected);
    if (lost) this.actions.onFocusLost();
  }

  /**
   * @param {HTMLElement} list @param {Stranger[]} people @param {Map<string, HTMLElement>} before
   * @param {(stranger: Stranger) => HTMLElement} make
   */
  fill(list, people, before, make) {
    const nodes = people.map((one) => {
      const where = this.actions.labelOf(one.channel);
      const key = JSON.stringify([where, one.channel, one.accountId, one.sender, one.code ?? ""]);
      const node = before.get(key) ?? make(one);
      this.rows.set(key, node);
      return node;
    });
    for (const node of [...list.children]) {
      if (!nodes.includes(/** @type {any} */ (node))) node.remove();
    }
    nodes.forEach((node, at) => {
      if (list.children[at] !== node) list.insertBefore(node, list.children[at] ?? null);
    });
  }

  /** @param {Stranger} stranger */
  pendingRow(stranger) {
    const { code, channel } = stranger;
    const params = { code, channel };
    return this.row(stranger, [
      el("span", {}, "Code ", el("code", { text: code ?? "" })), `asked ${shortTime(stranger.ts)}`,
    ], [
      ["Reject", "", (act) => act("channel.pair.reject", params)],
      ["Approve", "primary", (act) => act("channel.pair.approve", params)],
    ]);
  }

  /** @param {Stranger} stranger */
  approvedRow(stranger) {
    const { channel, accountId, sender } = stranger;
    return this.row(stranger, [`since ${shortTime(stranger.approvedAt)}`], [
      ["Remove", "danger", async (act) => {
        const sure = await askConfirm({ title: `Remove ${nameOf(stranger)}?`, danger: true,
          text: "Their messages are not answered any more. If they write again they get a new"
            + " code, and you are asked again.", confirm: "Remove" });
        if (sure) await act("channel.pair.remove", { channel, accountId, sender });
      }],
    ]);
  }

  /**
   * @param {Stranger} stranger @param {(string|HTMLElement)[]} facts
   * @param {[string, string, (act: (method: string, params: object) => Promise<void>) => unknown][]
   *   } choices label, class, what is done
   */
  row(stranger, facts, choices) {
    const problem = el("p", { class: "wrong", attrs: { role: "alert" } });
    const where = this.actions.labelOf(stranger.channel);
    /** @type {HTMLButtonElement[]} */
    const buttons = choices.map(([text, className, choose]) => el("button", {
      class: className, text,
      attrs: { type: "button", "aria-label": `${text} ${nameOf(stranger)} on ${where}` },
      on: { click: () => choose((method, params) => this.act(buttons, problem, method, params)) },
    }));
    const account = stranger.accountId === "default" ? where : `${where} (${stranger.accountId})`;
    const id = stranger.sender === nameOf(stranger) ? null : el("bdi", { text: stranger.sender });
    const parts = [account, id, ...facts].filter((part) => part !== null);
    return el("li", { class: "stranger" },
      el("div", { class: "stranger-facts" },
        el("strong", {}, el("bdi", { text: nameOf(stranger) })),
        el("p", { class: "muted" }, ...parts.flatMap((part, at) => at ? [" · ", part] : [part]))),
      el("div", { class: "choices" }, ...buttons),
      problem);
  }

  /**
   * @param {HTMLButtonElement[]} buttons @param {HTMLElement} problem
   * @param {string} method @param {object} params
   */
  async act(buttons, problem, method, params) {
    if (buttons.some((button) => button.getAttribute("aria-disabled") === "true")) return;
    for (const button of buttons) button.setAttribute("aria-disabled", "true");
    problem.textContent = "";
    try {
      await this.actions.decide(method, params);
    } catch (error) {
      problem.textContent = error instanceof Error ? error.message : String(error);
    }
    for (const button of buttons) button.setAttribute("aria-disabled", "false");
    this.actions.onChanged();
  }
}

/** @param {Stranger} stranger @returns {string} */
function nameOf({ name, sender }) {
  return name || sender;
}
