/**
 * What can be done with the session on the screen: rename it, start it over, delete it.
 *
 * An entry is offered only to those who may: renaming needs `operator.write`, the others
 * `operator.admin`; and an agent's main session cannot be deleted.
 */

import { askConfirm, askText } from "./dialogs.js";
import { el, icon } from "./dom.js";

/**
 * @typedef {{key: string, title: string, isMain: boolean}} Current
 * @typedef {{ask: (method: string, params: object) => Promise<unknown>,
 *   current: () => Current|null, onRenamed: () => void, onReset: (key: string) => void,
 *   onDeleted: (key: string) => void}} Actions
 */

/** The menu behind the button in the bar. */
export class SessionMenu {
  /** @param {HTMLElement} button @param {HTMLElement} menu @param {Actions} actions */
  constructor(button, menu, actions) {
    this.button = button;
    this.menu = menu;
    this.actions = actions;
    this.mayDelete = false;
    this.rename = this.entry("edit", "Rename", () => this.askName());
    this.reset = this.entry("reset", "Start over", () => this.askReset());
    this.remove = this.entry("trash", "Delete", () => this.askDelete(), "danger");
    button.append(icon("more"));
    menu.append(this.rename, this.reset, this.remove);
    menu.addEventListener("beforetoggle", () => this.update());
  }

  /** @param {(scope: string) => boolean} may */
  setScopes(may) {
    this.button.hidden = !may("operator.write");
    this.rename.hidden = !may("operator.write");
    this.reset.hidden = !may("operator.admin");
    this.mayDelete = may("operator.admin");
  }

  update() {
    this.remove.hidden = !this.mayDelete || this.actions.current()?.isMain === true;
  }

  /**
   * @param {Parameters<typeof icon>[0]} name @param {string} text @param {() => void} act
   * @param {string} [className]
   */
  entry(name, text, act, className = "") {
    const press = () => {
      this.menu.hidePopover();
      act();
    };
    return el("button", { class: className, attrs: { type: "button" }, on: { click: press } },
      icon(name), text);
  }

  async askName() {
    const current = this.actions.current();
    const label = current && await askText({
      title: "Rename this session", label: "Name", value: current.title, confirm: "Rename" });
    if (!current || label === null) return;
    const params = { key: current.key, label: label || null };
    if (await this.change("sessions.patch", params)) this.actions.onRenamed();
  }

  async askReset() {
    const current = this.actions.current();
    const sure = current && await askConfirm({ title: "Start this session over?", danger: true,
      text: "The agent forgets what was said here so far.", confirm: "Start over" });
    if (!current || !sure) return;
    const done = await this.change("sessions.reset", { key: current.key });
    if (done) this.actions.onReset(current.key);
  }

  async askDelete() {
    const current = this.actions.current();
    const sure = current && await askConfirm({ title: "Delete this session?", danger: true,
      text: "Its messages are deleted from the Gateway.", confirm: "Delete" });
    if (!current || !sure) return;
    const params = { key: current.key, deleteTranscript: true };
    if (await this.change("sessions.delete", params)) this.actions.onDeleted(current.key);
  }

  /** @param {string} method @param {object} params @returns {Promise<boolean>} done? */
  async change(method, params) {
    try {
      await this.actions.ask(method, params);
      return true;
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      await askConfirm({ title: "That did not work", text, confirm: "Close" });
      return false;
    }
  }
}
