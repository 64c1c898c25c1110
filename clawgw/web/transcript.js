/**
 * The conversation on the page.
 *
 * Drawing is asked for often and done once per animation frame. Items keep their nodes from one
 * drawing to the next. The view follows new text only while the reader is at its end; otherwise a
 * button leads there. Finished answers are read out by a live region, not every word as it comes.
 */

import { copyButton, el, icon, shortTime } from "./dom.js";
import { textOf } from "./history.js";
import { partView } from "./parts.js";

const NEAR_END_PX = 60;
const SUGGESTIONS = [
  "What can you do?", "Plan my day with me", "Explain something in simple words",
];

/** @type {Record<string, string>} */
const PHASES = {
  preparing_workspace: "Preparing the workspace",
  preparing_context: "Reading the conversation",
  starting_model: "Starting the model",
};

/**
 * @typedef {import("./history.js").Item} Item
 * @typedef {{onLoadOlder: () => void, onResend: (item: Item) => void,
 *   onRetry: (id: string) => void, onDiscard: (id: string) => void,
 *   onSuggestion: (text: string) => void}} Actions
 * @typedef {{name: string, avatar: string}} Agent
 */

/** Draws items into the page. */
export class Transcript {
  /**
   * @param {{scroller: HTMLElement, list: HTMLElement, jump: HTMLElement, announcer: HTMLElement}}
   *   nodes
   * @param {Actions} actions
   */
  constructor(nodes, actions) {
    this.nodes = nodes;
    this.actions = actions;
    /** @type {import("./conversation.js").Conversation|undefined} */
    this.conversation = undefined;
    /** @type {Map<string, ItemView>} */
    this.views = new Map();
    /** @type {Agent} */
    this.agent = { name: "Assistant", avatar: "A" };
    this.following = true;
    this.layout = "";
    /** @type {number|undefined} the animation frame that is waited for */
    this.frame = undefined;
    this.empty = this.makeEmpty();
    this.older = el("button", { class: "older", text: "Load older messages",
      attrs: { type: "button" }, on: { click: () => actions.onLoadOlder() } });
    nodes.list.before(this.older);
    this.older.hidden = true;
    nodes.scroller.addEventListener("scroll", () => this.scrolled(), { passive: true });
    nodes.jump.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => this.follow()).observe(nodes.list);
    new ResizeObserver(() => this.follow()).observe(nodes.scroller);
  }

  /** Who answers. @param {Agent} agent */
  setAgent(agent) {
    this.agent = agent;
    for (const view of this.views.values()) view.setAgent(agent);
  }

  /**
   * Show a conversation, at the next animation frame.
   * @param {import("./conversation.js").Conversation} conversation
   */
  show(conversation) {
    const other = this.conversation !== conversation;
    this.conversation = conversation;
    if (other) {
      this.following = true;
      this.views.clear();
      this.nodes.list.replaceChildren();
    }
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.draw();
    });
  }

  draw() {
    const { conversation } = this;
    if (!conversation) return;
    const items = conversation.items();
    const anchor = this.readingAnchor();
    this.older.hidden = !conversation.hasMore;
    this.nodes.list.classList.toggle("loading", !conversation.loaded && items.length === 0);
    this.place(items);
    if (items.length === 0 && conversation.loaded) this.showEmpty();
    else this.hideEmpty();
    if (this.following) this.toEnd();
    else anchor?.();
  }

  /** @param {Item[]} items */
  place(items) {
    const wanted = new Set(items.map((item) => item.key));
    for (const [key, view] of this.views) {
      if (wanted.has(key)) continue;
      view.node.remove();
      this.views.delete(key);
    }
    /** @type {HTMLElement|null} */
    let before = null;
    for (const item of items) {
      const view = this.views.get(item.key) ?? this.begin(item);
      view.update(item);
      /** @type {ChildNode|null} */
      const at = before ? before.nextSibling : this.nodes.list.firstChild;
      if (at !== view.node) this.nodes.list.insertBefore(view.node, at);
      before = view.node;
    }
  }

  /** @param {Item} item @returns {ItemView} */
  begin(item) {
    const view = new ItemView(item, this.actions);
    view.setAgent(this.agent);
    this.views.set(item.key, view);
    return view;
  }

  /** Keeps what is being read in place when something is added above it. @returns {() => void} */
  readingAnchor() {
    const { scroller } = this.nodes;
    const first = [...this.views.values()].find(
      (view) => view.node.getBoundingClientRect().bottom > scroller.getBoundingClientRect().top);
    const before = first?.node.getBoundingClientRect().top ?? 0;
    return () => {
      if (!first?.node.isConnected) return;
      scroller.scrollTop += first.node.getBoundingClientRect().top - before;
    };
  }

  showEmpty() {
    this.empty.title.textContent = `Talk to ${this.agent.name}`;
    this.empty.avatar.textContent = this.agent.avatar;
    if (!this.empty.node.isConnected) this.nodes.list.after(this.empty.node);
  }

  hideEmpty() {
    this.empty.node.remove();
  }

  makeEmpty() {
    const buttons = SUGGESTIONS.map((text) => el("button", { text, attrs: { type: "button" },
      on: { click: () => this.actions.onSuggestion(text) } }));
    const avatar = el("div", { class: "avatar large", attrs: { "aria-hidden": "true" } });
    const title = el("h2");
    const hint = el("p", { text: "Ask anything, or begin with one of these." });
    const node = el("div", { class: "empty" }, avatar, title, hint,
      el("div", { class: "suggestions" }, ...buttons));
    return { node, title, avatar };
  }

  /** Say something to a screen reader. @param {string} text */
  announce(text) {
    this.nodes.announcer.textContent = text;
  }

  /** The reader scrolled, or the page was laid out anew, which is no wish to leave the end. */
  scrolled() {
    const { scroller, jump } = this.nodes;
    if (this.following && this.layout !== this.measure()) {
      this.toEnd();
      return;
    }
    const below = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
    this.following = below < NEAR_END_PX;
    jump.hidden = this.following;
  }

  follow() {
    if (this.following) this.toEnd();
    else this.scrolled();
  }

  /** Go to the end and stay there. */
  toEnd() {
    this.following = true;
    this.nodes.jump.hidden = true;
    this.nodes.scroller.scrollTop = this.nodes.scroller.scrollHeight;
    this.layout = this.measure();
  }

  /** @returns {string} what changes when the page is laid out anew */
  measure() {
    const { scrollHeight, clientHeight, clientWidth } = this.nodes.scroller;
    return `${scrollHeight} ${clientHeight} ${clientWidth}`;
  }
}

/** One message or one answer. */
class ItemView {
  /** @param {Item} item @param {Actions} actions */
  constructor(item, actions) {
    this.actions = actions;
    this.plain = item.role === "user";
    this.avatar = el("div", { class: "avatar", attrs: { "aria-hidden": "true" } });
    this.author = el("span", { class: "author", text: this.plain ? "You" : "" });
    this.time = el("time");
    this.body = el("div", { class: "body" });
    this.foot = el("div", { class: "foot" });
    const copy = copyButton(() => plainTextOf(this.item), "Copy message");
    const head = el("header", {}, this.author, this.time, copy);
    this.node = el("article", { class: `item ${item.role}` }, this.plain ? null : this.avatar,
      el("div", { class: "content" }, head, this.body, this.foot));
    /** @type {import("./parts.js").PartView[]} */
    this.parts = [];
    this.item = item;
    this.revision = -1;
    this.footSignature = "";
  }

  /** @param {Agent} agent */
  setAgent(agent) {
    if (this.plain) return;
    this.avatar.textContent = agent.avatar;
    this.author.textContent = agent.name;
  }

  /** @param {Item} item */
  update(item) {
    if (item === this.item && item.revision === this.revision) return;
    this.item = item;
    this.revision = item.revision;
    this.node.dataset.state = item.state;
    this.time.textContent = shortTime(item.timestamp);
    if (item.timestamp) this.time.dateTime = new Date(item.timestamp).toISOString();
    this.updateParts(item);
    this.updateFoot(item);
  }

  /** @param {Item} item */
  updateParts(item) {
    item.parts.forEach((part, index) => {
      const known = this.parts[index];
      if (known?.type === part.type) {
        known.update(part);
        return;
      }
      const view = partView(part, this.plain);
      if (known) known.node.replaceWith(view.node);
      else this.body.append(view.node);
      this.parts[index] = view;
    });
    for (const view of this.parts.splice(item.parts.length)) view.node.remove();
  }

  /** @param {Item} item */
  updateFoot(item) {
    const makers = { waiting: waitingFoot, unsent: unsentFoot, failed: failedFoot, error: errorFoot,
      aborted: abortedFoot };
    const make = makers[/** @type {keyof typeof makers} */ (item.state)];
    const signature = `${item.state} ${item.phase ?? ""} ${item.error ?? ""}`;
    if (signature === this.footSignature) return;
    this.footSignature = signature;
    this.foot.replaceChildren(...(make ? [make(item, this.actions)] : []));
  }
}

/** @param {Item} item @returns {string} */
function plainTextOf(item) {
  return textOf(item.parts, "\n\n");
}

/** @param {Item} item */
function waitingFoot(item) {
  const dots = el("span", { class: "dots", attrs: { "aria-hidden": "true" } },
    el("i"), el("i"), el("i"));
  return el("p", { class: "waiting" }, dots, el("span", { text: PHASES[item.phase ?? ""] ?? "" }));
}

function unsentFoot() {
  return el("p", { class: "note", text: "Sending…" });
}

/** @param {Item} item @param {Actions} actions */
function failedFoot(item, actions) {
  const id = item.runId ?? "";
  return problem("Not sent", item.error, ["Send", () => actions.onRetry(id)],
    ["Discard", () => actions.onDiscard(id)]);
}

/** @param {Item} item @param {Actions} actions */
function errorFoot(item, actions) {
  return problem("The agent failed", item.error, ["Try again", () => actions.onResend(item)]);
}

function abortedFoot() {
  return el("p", { class: "note", text: "Stopped." });
}

/**
 * @param {string} title @param {string|undefined} text
 * @param {...[string, () => void]} choices
 */
function problem(title, text, ...choices) {
  const buttons = choices.map(([label, act]) =>
    el("button", { text: label, attrs: { type: "button" }, on: { click: act } }));
  return el("div", { class: "problem", attrs: { role: "alert" } }, icon("warning"),
    el("div", {}, el("strong", { text: title }), el("p", { text: text ?? "" }),
      el("div", { class: "choices" }, ...buttons)));
}
