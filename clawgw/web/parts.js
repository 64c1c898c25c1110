/**
 * The pieces an answer is made of: text, thoughts, tool calls, plans, pictures.
 *
 * Each piece is a view that is made once and then updated, so that a card the person opened stays
 * open while the answer grows.
 */

import { el, icon } from "./dom.js";
import { MarkdownView } from "./markdown.js";

const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);
const MAX_SHOWN = 20_000;

/**
 * @typedef {import("./history.js").Part} Part
 * @typedef {{type: string, node: HTMLElement, update: (part: any) => void}} PartView
 */

/**
 * Make the view of a piece.
 * @param {Part} part
 * @param {boolean} plain whether text is shown as it was typed
 * @returns {PartView}
 */
export function partView(part, plain) {
  const view = plain && part.type === "text" ? plainText() : MAKERS[part.type]();
  view.update(part);
  return view;
}

/** @type {Record<Part["type"], () => PartView>} */
const MAKERS = { text: markdownText, thinking, tool, plan, image };

/** @returns {PartView} */
function plainText() {
  const node = el("div", { class: "plain" });
  return { type: "text", node, update: (part) => { node.textContent = part.text; } };
}

/** @returns {PartView} */
function markdownText() {
  const node = el("div", { class: "prose" });
  const view = new MarkdownView(node);
  return { type: "text", node, update: (part) => view.update(part.text) };
}

/** @returns {PartView} */
function thinking() {
  const body = el("div", { class: "prose" });
  const view = new MarkdownView(body);
  const summary = el("summary", {}, icon("chevron"), el("span", { text: "Thoughts" }));
  const node = el("details", { class: "thinking" }, summary, body);
  return { type: "thinking", node, update: (part) => view.update(part.text) };
}

const TOOL_STATES = { running: "running", done: "done", failed: "failed" };

/** @returns {PartView} */
function tool() {
  const name = el("span", { class: "tool-name" });
  const hint = el("span", { class: "tool-hint" });
  const state = el("span", { class: "tool-state" });
  const args = section("Arguments");
  const result = section("Result");
  const pictures = el("div", { class: "pictures" });
  const summary = el("summary", {}, icon("chevron"), icon("tool"), name, hint, state);
  const node = el("details", { class: "tool" }, summary, args.node, result.node, pictures);
  return {
    type: "tool",
    node,
    update: (/** @type {import("./history.js").ToolPart} */ part) => {
      name.textContent = part.name;
      hint.textContent = oneLine(part.args);
      state.textContent = TOOL_STATES[part.state];
      node.dataset.state = part.state;
      args.show(readable(part.args));
      result.show(part.result);
      pictures.replaceChildren(...part.images.flatMap((each) => picture(each) ?? []));
    },
  };
}

/** @param {string} title */
function section(title) {
  const body = el("pre", { attrs: { tabindex: "0" } });
  const node = el("div", { class: "tool-section" }, el("h4", { text: title }), body);
  const show = (/** @type {string} */ text) => {
    node.hidden = text === "";
    const shown = text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}\n…` : text;
    if (body.textContent !== shown) body.textContent = shown;
  };
  return { node, show };
}

/** @param {unknown} args @returns {string} */
function readable(args) {
  if (args === undefined || args === null) return "";
  return typeof args === "string" ? args : JSON.stringify(args, null, 2);
}

/** The first telling value of the arguments, for the closed card. @param {unknown} args */
function oneLine(args) {
  const values = typeof args === "object" && args ? Object.values(args) : [args];
  const first = values.find((value) => typeof value === "string" && value.trim() !== "");
  return String(first ?? "").split("\n")[0].slice(0, 120);
}

const PLAN_MARKS = /** @type {Record<string, string>} */ ({ completed: "✓", in_progress: "•" });

/** @returns {PartView} */
function plan() {
  const list = el("ul");
  const node = el("div", { class: "plan" }, el("h4", { text: "Plan" }), list);
  return {
    type: "plan",
    node,
    update: (part) => {
      list.replaceChildren(...part.entries.map(planEntry));
    },
  };
}

/** @param {{content: string, status: string}} entry */
function planEntry({ content, status }) {
  const mark = el("span", { class: "plan-mark", text: PLAN_MARKS[status] ?? "", attrs: {
    "aria-label": status.replace("_", " "), role: "img" } });
  return el("li", { class: `plan-${status === "completed" ? "done" : "open"}` }, mark, content);
}

/** @returns {PartView} */
function image() {
  const node = el("div", { class: "pictures" });
  return {
    type: "image",
    node,
    update: (part) => node.replaceChildren(picture(part) ?? "A picture that cannot be shown."),
  };
}

/** @param {{mimeType: string, data: string}} source @returns {HTMLImageElement|null} */
function picture({ mimeType, data }) {
  if (!PICTURES.has(mimeType)) return null;
  return el("img", { attrs: { src: `data:${mimeType};base64,${data}`, alt: "Picture" } });
}
