/** Questions in front of the page: a confirmation, a name. */

import { el } from "./dom.js";

/**
 * Ask whether to go on.
 * @param {{title: string, text: string, confirm: string, danger?: boolean}} question
 * @returns {Promise<boolean>}
 */
export function askConfirm({ title, text, confirm, danger = false }) {
  const accept = el("button", { class: danger ? "danger" : "primary", text: confirm,
    attrs: { type: "submit" } });
  return open([el("h2", { text: title }), el("p", { text })], accept, () => true, false);
}

/**
 * Ask for a line of text.
 * @param {{title: string, label: string, value: string, confirm: string}} question
 * @returns {Promise<string|null>} null when it was cancelled
 */
export function askText({ title, label, value, confirm }) {
  const input = el("input", { attrs: { type: "text", maxlength: "200", autofocus: true } });
  input.value = value;
  const accept = el("button", { class: "primary", text: confirm, attrs: { type: "submit" } });
  const field = el("label", {}, el("span", { text: label }), input);
  return open([el("h2", { text: title }), field], accept, () => input.value.trim(), null);
}

/**
 * @template T, C
 * @param {HTMLElement[]} content @param {HTMLElement} accept
 * @param {() => T} answer @param {C} cancelled
 * @returns {Promise<T|C>}
 */
function open(content, accept, answer, cancelled) {
  return new Promise((resolve) => {
    /** @type {T|C} */
    let result = cancelled;
    const cancel = el("button", { text: "Cancel", attrs: { type: "button" },
      on: { click: () => dialog.close() } });
    const form = el("form", { on: { submit: (event) => {
      event.preventDefault();
      result = answer();
      dialog.close();
    } } }, ...content, el("div", { class: "choices" }, cancel, accept));
    const dialog = el("dialog", { class: "question", on: { close: () => {
      dialog.remove();
      resolve(result);
    } } }, form);
    document.body.append(dialog);
    dialog.showModal();
  });
}
