/**
 * Commands that wait for a yes.
 *
 * An agent or a node that wants to run something not yet allowed asks; whoever may approve sees
 * the command as it is, where it would run and for whom, and decides. When anyone has decided, or
 * nobody in time, the card says who and how for a moment, and goes.
 */

import { el } from "./dom.js";

/** How long a decision stays on the screen. */
const SHOWN_MS = 8000;

/** How long a question is shown beyond its time: the Gateway's clock decides, not this one. */
const GRACE_MS = 10_000;

const SECOND_MS = 1000;

/** Letters that nobody sees, or that turn the order of others around. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** As much of a node's id as tells nodes of one name apart. */
const SHORT_ID = 12;

/** @type {[string, string, string, string][]} decision, its button, the button's class, its past */
const DECISIONS = [
  ["deny", "Deny", "", "Denied"],
  ["allow-always", "Always allow", "", "Always allowed"],
  ["allow-once", "Allow once", "primary", "Allowed once"],
];

/** Why it was no person who decided. @type {Record<string, string>} */
const REASONS = {
  timeout: "nobody decided in time",
  "run-aborted": "the run that asked is over",
  "gateway-restart": "the Gateway was restarted",
};

/**
 * @typedef {{id: string, request?: any, expiresAtMs?: number}} Question as the event brings it
 * @typedef {{id: string, decision: string, resolvedBy?: string|null, reason?: string}} Verdict
 * @typedef {{card: HTMLElement, left: HTMLElement, expiresAtMs: number, verdict: HTMLElement,
 *   timer?: number}} Card
 */

/** The open questions, and for a moment those that were decided. */
export class Approvals {
  /**
   * @param {HTMLElement} node
   * @param {(id: string, decision: string) => Promise<unknown>} resolve
   * @param {(nodeId: string) => Promise<string|undefined>} nameOf what people call a node
   * @param {number} [shownMs] how long a decision stays
   */
  constructor(node, resolve, nameOf = async () => undefined, shownMs = SHOWN_MS) {
    this.node = node;
    this.resolve = resolve;
    this.nameOf = nameOf;
    this.shownMs = shownMs;
    /** @type {Map<string, Card>} */
    this.cards = new Map();
    /** @type {number|undefined} */
    this.clock = undefined;
  }

  /** @param {Question} question */
  ask(question) {
    if (this.cards.has(question.id)) return;
    const expiresAtMs = question.expiresAtMs ?? Date.now() + 120_000;
    if (expiresAtMs + GRACE_MS <= Date.now()) return;
    const card = this.build(question, expiresAtMs);
    this.cards.set(question.id, card);
    this.node.append(card.card);
    this.tick();
  }

  /** Somebody decided, or nobody in time. @param {Verdict} verdict */
  decided(verdict) {
    const known = this.cards.get(verdict.id);
    if (!known || known.timer !== undefined) return;
    known.card.dataset.state = "decided";
    known.verdict.textContent = verdictText(verdict);
    known.timer = setTimeout(() => this.remove(verdict.id), this.shownMs);
  }

  /** @param {string} id */
  remove(id) {
    const known = this.cards.get(id);
    if (!known) return;
    clearTimeout(known.timer);
    known.card.remove();
    this.cards.delete(id);
  }

  clear() {
    for (const id of [...this.cards.keys()]) this.remove(id);
  }

  /** Show how long each question still stands, as long as there is one. */
  tick() {
    clearTimeout(this.clock);
    this.clock = undefined;
    for (const [id, { left, expiresAtMs, timer }] of this.cards) {
      const leftMs = expiresAtMs - Date.now();
      if (timer !== undefined) continue;
      if (leftMs <= -GRACE_MS) this.decided({ id, decision: "deny", reason: "timeout" });
      else left.textContent = `${timeText(leftMs)} left`;
    }
    if (this.cards.size) this.clock = setTimeout(() => this.tick(), SECOND_MS);
  }

  /** @param {Question} question @param {number} expiresAtMs @returns {Card} */
  build({ id, request = {} }, expiresAtMs) {
    const verdict = el("p", { class: "detail", attrs: { role: "alert" } });
    const left = el("span", { class: "left", attrs: { role: "timer", "aria-live": "off" } });
    const allowed = request.allowedDecisions ?? DECISIONS.map(([decision]) => decision);
    /** @type {HTMLButtonElement[]} */
    const buttons = DECISIONS.filter(([decision]) => allowed.includes(decision)).map(
      ([decision, label, className]) => el("button", {
        text: label, class: className, attrs: { type: "button" },
        on: { click: () => this.decide(id, decision, buttons, verdict) } }));
    const card = el("section",
      { class: "approval", attrs: { "aria-label": "Approval", "data-state": "open" } },
      el("p", { text: `${askerOf(request)} asks to run this` }),
      el("pre", { text: shown(commandOf(request)) }),
      request.warningText && el("p", { class: "detail warning", text: request.warningText }),
      this.factsOf(request),
      el("p", { class: "detail" }, left),
      verdict,
      el("div", { class: "choices" }, ...buttons));
    return { card, left, expiresAtMs, verdict };
  }

  /** Where it would run, and for whom. @param {any} request @returns {HTMLElement} */
  factsOf(request) {
    const node = request.nodeId && el("dd", { text: String(request.nodeId) });
    if (node) {
      this.nameOf(request.nodeId).then((name) => {
        if (name) node.textContent = `${name} (${request.nodeId.slice(0, SHORT_ID)})`;
      }, () => {}); // then it is known by its id
    }
    const facts = [
      ["Directory", request.cwd], ["Program", request.resolvedPath],
      ["With variables", request.envKeys?.join(", ")], ["Agent", request.agentId],
      ["Session", request.sessionKey], ["Node", node],
    ];
    return el("dl", {}, ...facts.filter(([, value]) => value).flatMap(([name, value]) =>
      [el("dt", { text: name }),
        value === node ? node : el("dd", { text: shown(String(value)) })]));
  }

  /**
   * @param {string} id
   * @param {string} decision
   * @param {HTMLButtonElement[]} buttons
   * @param {HTMLElement} verdict
   */
  async decide(id, decision, buttons, verdict) {
    for (const button of buttons) button.disabled = true;
    try {
      await this.resolve(id, decision);
      this.decided({ id, decision, resolvedBy: "you", reason: "user" });
    } catch (error) {
      const known = this.cards.get(id);
      if (!known || known.timer !== undefined) return; // the verdict is there already
      verdict.textContent = error instanceof Error ? error.message : String(error);
      for (const button of buttons) button.disabled = false;
    }
  }
}

/** @param {any} request @returns {string} */
function askerOf(request) {
  return request.host === "node" ? "A node" : "The agent";
}

/** @param {any} request @returns {string} */
function commandOf(request) {
  if (request.command) return String(request.command);
  return Array.isArray(request.commandArgv) ? request.commandArgv.join(" ") : "";
}

/** A text with nothing hidden in it. @param {string} text @returns {string} */
function shown(text) {
  return text.replace(HIDDEN, (letter) => letter === "\n" || letter === "\t"
    ? letter : `\\u{${letter.codePointAt(0)?.toString(16)}}`);
}

/** @param {Verdict} verdict @returns {string} */
function verdictText({ decision, resolvedBy, reason }) {
  const past = DECISIONS.find(([name]) => name === decision)?.[3] ?? decision;
  if (resolvedBy) return `${past} by ${resolvedBy}.`;
  const why = REASONS[reason ?? ""];
  return why ? `${past}: ${why}.` : `${past}.`;
}

/** @param {number} ms @returns {string} */
function timeText(ms) {
  const seconds = Math.max(0, Math.ceil(ms / SECOND_MS));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
