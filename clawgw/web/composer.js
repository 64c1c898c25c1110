/**
 * Where one writes.
 *
 * Enter sends and Shift+Enter makes a new line; on a touch keyboard Enter makes a new line and the
 * button sends. Escape stops the answer. What is typed is kept per session, also over a reload.
 */

const MAX_HEIGHT_PX = 240;
const DRAFT = "draft.";

/** The text field with its buttons. */
export class Composer {
  /**
   * @param {{form: HTMLFormElement, input: HTMLTextAreaElement, send: HTMLButtonElement,
   *   stop: HTMLButtonElement}} nodes
   * @param {import("./storage.js").BrowserStorage} storage
   * @param {{onSend: (text: string) => void, onStop: () => void}} actions
   */
  constructor(nodes, storage, actions) {
    this.nodes = nodes;
    this.storage = storage;
    this.actions = actions;
    this.sessionKey = "";
    this.running = false;
    nodes.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    nodes.input.addEventListener("input", () => this.changed());
    nodes.input.addEventListener("keydown", (event) => this.pressed(event));
    nodes.stop.addEventListener("click", () => actions.onStop());
    document.addEventListener("keydown", (event) => this.pressedAnywhere(event));
  }

  /** Write to this session; brings back what was typed for it. @param {string} sessionKey */
  open(sessionKey) {
    this.sessionKey = sessionKey;
    this.nodes.input.value = this.storage.read(DRAFT + sessionKey) ?? "";
    this.fit();
  }

  /** @param {boolean} running whether there is an answer to stop */
  setRunning(running) {
    this.running = running;
    this.nodes.stop.hidden = !running;
  }

  /** @param {string} name of the agent */
  setAgentName(name) {
    this.nodes.input.placeholder = `Message ${name}`;
  }

  /** @param {boolean} allowed whether this person may write at all */
  setAllowed(allowed) {
    this.nodes.input.disabled = !allowed;
    if (!allowed) this.nodes.input.placeholder = "You may read here, but not write.";
    this.fit();
  }

  focus() {
    if (!touchKeyboard()) this.nodes.input.focus();
  }

  submit() {
    const text = this.nodes.input.value.trim();
    if (!text) return;
    this.nodes.input.value = "";
    this.changed();
    this.actions.onSend(text);
  }

  changed() {
    this.storage.write(DRAFT + this.sessionKey, this.nodes.input.value || null);
    this.fit();
  }

  fit() {
    const { input, send } = this.nodes;
    send.disabled = input.disabled || input.value.trim() === "";
    input.style.height = "auto";
    input.style.height = `${Math.min(input.scrollHeight, MAX_HEIGHT_PX)}px`;
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    const plainEnter = event.key === "Enter" && !event.shiftKey && !event.isComposing;
    if (!plainEnter || touchKeyboard()) return;
    event.preventDefault();
    this.submit();
  }

  /** @param {KeyboardEvent} event */
  pressedAnywhere(event) {
    const elsewhere = document.querySelector("dialog[open], :popover-open, [data-drawer]") !== null;
    if (event.key !== "Escape" || event.defaultPrevented || elsewhere || !this.running) return;
    event.preventDefault();
    this.actions.onStop();
  }
}

/** @returns {boolean} whether a finger is the main pointer: the keyboard is on the screen */
function touchKeyboard() {
  return window.matchMedia("(hover: none) and (pointer: coarse)").matches;
}
