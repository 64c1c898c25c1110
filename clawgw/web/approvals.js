/**
 * Commands that wait for a yes.
 *
 * An agent that wants to run something not yet allowed asks; whoever may approve sees the command
 * as it is and decides. The card goes when anyone has decided, or when the question expires.
 */

import { el } from "./dom.js";

/** @type {[string, string, string][]} decision, label, class */
const DECISIONS = [
  ["deny", "Deny", ""],
  ["allow-always", "Always allow", ""],
  ["allow-once", "Allow once", "primary"],
];

/** The open questions. */
export class Approvals {
  /**
   * @param {HTMLElement} node
   * @param {(id: string, decision: string) => Promise<unknown>} resolve
   */
  constructor(node, resolve) {
    this.node = node;
    this.resolve = resolve;
    /** @type {Map<string, {card: HTMLElement, timer: number}>} */
    this.open = new Map();
  }

  /** @param {{id: string, request?: any, expiresAtMs?: number}} question as the event brings it */
  ask(question) {
    this.remove(question.id);
    const left = (question.expiresAtMs ?? Date.now() + 120_000) - Date.now();
    if (left <= 0) return;
    const card = this.card(question.id, question.request ?? {});
    this.open.set(question.id, { card, timer: setTimeout(() => this.remove(question.id), left) });
    this.node.append(card);
  }

  /** Someone decided, or it is too late. @param {string} id */
  remove(id) {
    const known = this.open.get(id);
    if (!known) return;
    clearTimeout(known.timer);
    known.card.remove();
    this.open.delete(id);
  }

  clear() {
    for (const id of [...this.open.keys()]) this.remove(id);
  }

  /** @param {string} id @param {any} request @returns {HTMLElement} */
  card(id, request) {
    const wrong = el("p", { class: "detail", attrs: { role: "alert" } });
    const buttons = DECISIONS.map(([decision, label, className]) => el("button", {
      text: label, class: className, attrs: { type: "button" },
      on: { click: () => this.decide(id, decision, wrong) } }));
    const where = [request.host, request.cwd].filter(Boolean).join(" · ");
    return el("section", { class: "approval", attrs: { "aria-label": "Approval" } },
      el("p", { text: "The agent asks to run this" }),
      el("pre", { text: commandOf(request) }),
      where && el("p", { class: "detail", text: where }),
      wrong,
      el("div", { class: "choices" }, ...buttons));
  }

  /** @param {string} id @param {string} decision @param {HTMLElement} wrong */
  async decide(id, decision, wrong) {
    try {
      await this.resolve(id, decision);
      this.remove(id);
    } catch (error) {
      wrong.textContent = error instanceof Error ? error.message : String(error);
    }
  }
}

/** @param {any} request @returns {string} */
function commandOf(request) {
  if (request.command) return String(request.command);
  return Array.isArray(request.commandArgv) ? request.commandArgv.join(" ") : "";
}
