/**
 * Logging in to a channel: a QR code to scan with the phone, or a code to type in at it.
 *
 * The provider replaces the code every so often, so the Gateway is asked again and again what there
 * is to show, until the phone is linked, it failed, or the person closes the window. The picture
 * links a device to whoever holds it: it is gone from the page with the window.
 */

import { el, icon } from "./dom.js";

const START_MS = 150_000; // what the channel needs may have to be installed first
const WAIT_MS = 25_000;
const GRACE_MS = 15_000;
const PAUSE_MS = 1000;
const PICTURE = "data:image/png;base64,";

/**
 * @typedef {{message: string, connected: boolean, qrDataUrl?: string, code?: string}} Step
 * @typedef {"working"|"scan"|"code"|"connected"|"failed"} Stage
 */

/** The window of one login. */
export class ChannelLogin {
  /**
   * @param {import("./channel-account.js").Row} account
   * @param {import("./channels.js").Ask} ask
   * @param {() => void} onClosed
   */
  constructor(account, ask, onClosed) {
    this.ask = ask;
    this.names = { channel: account.channel, accountId: account.accountId };
    this.attempt = 0; // answers to an earlier one are of no interest
    /** @type {object} what the last attempt was begun with */
    this.wanted = {};
    this.title = el("h2", { text: `Log in to ${account.label}`, attrs: { id: "login-title" } });
    this.message = el("p", { class: "login-message", attrs: { role: "status" } });
    this.problem = el("p", { class: "wrong", attrs: { role: "alert" } });
    this.figure = el("div", { class: "login-figure" });
    this.again = el("button", { class: "primary", text: "Try again", attrs: { type: "button" },
      on: { click: () => this.begin(this.wanted) } });
    this.done = el("button", { text: "Cancel", attrs: { type: "button", autofocus: true },
      on: { click: () => this.close() } });
    this.dialog = el("dialog", { class: "question login", attrs: { "aria-labelledby": "login-title" },
      on: { close: () => this.closed(onClosed) } },
      this.title, this.message, this.figure, this.problem,
      account.canLoginByCode ? this.phoneForm() : null,
      el("div", { class: "choices" }, this.again, this.done));
  }

  open() {
    document.body.append(this.dialog);
    this.dialog.showModal();
    this.begin({});
  }

  close() {
    this.dialog.close();
  }

  /** @param {() => void} tell */
  closed(tell) {
    this.attempt += 1;
    this.dialog.remove();
    tell();
  }

  phoneForm() {
    const input = el("input", { attrs: { type: "tel", autocomplete: "tel", required: true,
      placeholder: "+49 151 0000001" } });
    const form = el("form", { on: { submit: (event) => {
      event.preventDefault();
      if (input.value.trim()) this.begin({ phone: input.value.trim() });
    } } },
    el("label", {}, el("span", { text: "Phone number, with the country code" }), input),
    el("button", { text: "Get a code", attrs: { type: "submit" } }));
    this.otherWay = el("details", { class: "other-way" },
      el("summary", {}, icon("chevron"), el("span", { text: "Cannot scan? Use a phone number" })),
      form);
    return this.otherWay;
  }

  /** @param {object} wanted `phone`, for a code to type in */
  async begin(wanted) {
    const attempt = ++this.attempt;
    this.wanted = wanted;
    this.qr = this.code = undefined;
    this.enter("working", "Asking for a code…", el("div", { class: "spinner" }));
    try {
      let step = await this.ask("web.login.start", { ...this.names, ...wanted }, START_MS);
      while (attempt === this.attempt && !this.show(step)) {
        const next = await this.wait();
        // a Gateway that answers at once is not asked without end
        if (JSON.stringify(next) === JSON.stringify(step)) await pause(PAUSE_MS);
        step = next;
      }
    } catch (error) {
      if (attempt === this.attempt) this.fail(error);
    }
  }

  /** @returns {Promise<Step>} what there is to show after what is shown */
  wait() {
    const shown = this.qr ? { currentQrDataUrl: this.qr } : {};
    const params = { ...this.names, timeoutMs: WAIT_MS, ...shown };
    return this.ask("web.login.wait", params, WAIT_MS + GRACE_MS);
  }

  /** @param {Step} step @returns {boolean} whether that is the end of it */
  show(step) {
    const qr = step.qrDataUrl?.startsWith(PICTURE) ? step.qrDataUrl : undefined;
    if (step.connected) {
      this.finish(step.message);
    } else if (qr && qr !== this.qr) {
      this.qr = qr;
      this.enter("scan", step.message, el("img", { attrs: { src: qr, alt: "QR code to scan" } }));
    } else if (step.code && step.code !== this.code) {
      this.code = step.code;
      this.enter("code", step.message, el("p", { class: "login-code", text: step.code }));
    } else if (!qr && !step.code) {
      this.qr = this.code = undefined;
      this.enter("working", step.message, el("div", { class: "spinner" }));
    } // else what is shown still holds
    return step.connected;
  }

  /** @param {string} message */
  finish(message) {
    this.enter("connected", message, icon("check"));
    this.done.textContent = "Done";
    this.done.classList.add("primary");
    this.done.focus();
  }

  /** @param {unknown} error */
  fail(error) {
    this.enter("failed", "");
    this.problem.textContent = error instanceof Error ? error.message : String(error);
  }

  /** @param {Stage} stage @param {string} message @param {Node} [figure] */
  enter(stage, message, figure) {
    this.dialog.dataset.stage = stage;
    if (this.message.textContent !== message) this.message.textContent = message;
    this.problem.textContent = "";
    this.figure.replaceChildren(...(figure ? [figure] : []));
    this.again.hidden = stage !== "failed";
    if (this.otherWay) this.otherWay.hidden = stage === "connected";
  }
}

/** @param {number} ms @returns {Promise<void>} */
function pause(ms) {
  return new Promise((resolve) => { setTimeout(resolve, ms); });
}
