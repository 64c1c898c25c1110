/**
 * What stands in front of the chat until the Gateway lets this browser in.
 *
 * Every screen says what is the matter in plain words, and what to do.
 */

import { copyButton, el } from "./dom.js";

const TUNNEL = "ssh -N -L 18789:127.0.0.1:18789 user@host";

/** @type {Record<string, {title: string, label: string, hint: string, wrong: string}>} */
const SECRETS = {
  token: {
    title: "Enter the Gateway token",
    label: "Gateway token",
    hint: "The token the Gateway was started with: --token, the configuration key "
      + "gateway.auth.token, or the variable CLAWGW_GATEWAY_TOKEN.",
    wrong: "The Gateway did not accept this token.",
  },
  password: {
    title: "Enter the Gateway password",
    label: "Gateway password",
    hint: "The password set in the Gateway's configuration.",
    wrong: "The Gateway did not accept this password.",
  },
};

/** The screen in front of the chat. */
export class Gate {
  /**
   * @param {HTMLElement} node
   * @param {{onSecret: (kind: "token"|"password", value: string) => void}} actions
   */
  constructor(node, actions) {
    this.node = node;
    this.actions = actions;
    this.shown = "";
  }

  /** Let the person through. */
  open() {
    this.node.hidden = true;
    this.shown = "";
    this.node.replaceChildren();
  }

  /** The first connection is being made. */
  connecting() {
    // What a refusal asks of the person stays on the screen while the page tries again.
    if (this.shown !== "" && !this.shown.startsWith("secret")) return;
    this.show("connecting", () => [
      el("div", { class: "spinner" }), el("h1", { text: "Connecting to the Gateway" }),
    ]);
  }

  /** The Gateway cannot be reached. @param {string} reason */
  unreachable(reason) {
    this.show("unreachable", () => [
      el("div", { class: "spinner" }),
      el("h1", { text: "The Gateway does not answer" }),
      el("p", { text: "It may be starting, or the tunnel to it may be down. Trying again." }),
      el("p", { class: "detail", text: reason }),
    ]);
  }

  /** This browser cannot make a device key. @param {"insecure"|"unsupported"|"storage"} reason */
  noIdentity(reason) {
    const screens = { insecure, unsupported, storage };
    this.show(reason, screens[reason]);
  }

  /** The Gateway refused. @param {import("./credentials.js").Verdict} verdict */
  refused(verdict) {
    switch (verdict.kind) {
      case "ask":
        this.askSecret(verdict.secret, verdict.wrong);
        break;
      case "pairing":
        this.show(`pairing ${verdict.requestId}`,
          () => pairing(verdict.requestId, verdict.deviceId));
        break;
      case "rateLimited":
        this.show(`rate ${verdict.retryAfterMs}`, () => rateLimited(verdict.retryAfterMs));
        break;
      case "origin":
        this.show("origin", origin);
        break;
      case "other":
        this.show(`other ${verdict.message}`, () => other(verdict.message));
        break;
      default:
    }
  }

  /**
   * The same screen is left alone: what is typed or selected in it stays.
   * @param {string} name @param {() => Node[]} make
   */
  show(name, make) {
    this.node.hidden = false;
    if (this.shown === name) return;
    this.shown = name;
    const card = el("section", { class: "card", attrs: { "aria-live": "polite" } }, ...make());
    this.node.replaceChildren(card);
  }

  /** @param {"token"|"password"} kind @param {boolean} wrong */
  askSecret(kind, wrong) {
    this.shown = "";
    this.show(`secret ${kind}`, () => this.secretForm(kind, wrong));
    this.node.querySelector("input")?.focus();
  }

  /** @param {"token"|"password"} kind @param {boolean} wrong @returns {Node[]} */
  secretForm(kind, wrong) {
    const words = SECRETS[kind];
    const input = el("input", { attrs: {
      type: "password", name: kind, autocomplete: "off", required: true, spellcheck: "false" } });
    const form = el("form", { on: { submit: (event) => {
      event.preventDefault();
      if (input.value.trim()) this.actions.onSecret(kind, input.value.trim());
    } } },
      el("label", {}, el("span", { text: words.label }), input),
      wrong && el("p", { class: "wrong", text: words.wrong, attrs: { role: "alert" } }),
      el("button", { class: "primary", text: "Connect", attrs: { type: "submit" } }));
    return [el("h1", { text: words.title }), el("p", { text: words.hint }), form];
  }
}

/** @param {string} requestId @param {string} deviceId @returns {Node[]} */
function pairing(requestId, deviceId) {
  const fingerprint = deviceId.slice(0, 12);
  return [
    el("h1", { text: "Approve this device" }),
    el("p", { text: "The Gateway does not know this browser yet. Approve it on the machine where "
      + "the Gateway runs; this page goes on by itself." }),
    command(`clawgw devices approve ${requestId}`),
    el("p", { class: "detail", text: fingerprint ? `This device: ${fingerprint}…` : "" }),
    el("div", { class: "spinner small" }),
  ];
}

/** @param {number} retryAfterMs @returns {Node[]} */
function rateLimited(retryAfterMs) {
  const seconds = Math.max(1, Math.ceil(retryAfterMs / 1000));
  return [
    el("h1", { text: "Too many attempts" }),
    el("p", { text: `The Gateway takes no further attempt from here for ${seconds} seconds. `
      + "This page tries again by itself then." }),
  ];
}

/** @returns {Node[]} */
function origin() {
  return [
    el("h1", { text: "This address is not allowed" }),
    el("p", { text: "The Gateway does not accept a page from this address. Add it to "
      + "gateway.controlUi.allowedOrigins in the Gateway's configuration:" }),
    command(window.location.origin),
  ];
}

/** @param {string} message @returns {Node[]} */
function other(message) {
  return [
    el("h1", { text: "The Gateway refused the connection" }),
    el("p", { text: message }),
    el("p", { class: "detail", text: "This page tries again by itself." }),
  ];
}

/** @returns {Node[]} */
function insecure() {
  return [
    el("h1", { text: "This page needs a secure address" }),
    el("p", { text: "A browser gives a page its own key only over https, or on the machine itself. "
      + "Open the Gateway by https, or make a tunnel from this machine:" }),
    command(TUNNEL),
    el("p", { text: "Then open http://localhost:18789/ here." }),
  ];
}

/** @returns {Node[]} */
function unsupported() {
  return [
    el("h1", { text: "This browser is too old" }),
    el("p", { text: "It does not know Ed25519 keys, which the Gateway asks for. Firefox 130, "
      + "Safari 17, Chrome 137 and later do." }),
  ];
}

/** @returns {Node[]} */
function storage() {
  return [
    el("h1", { text: "This browser may not keep a key" }),
    el("p", { text: "The page keeps its device key in the browser's storage, which is switched "
      + "off. Allow storage for this site, or leave the private window." }),
  ];
}

/** @param {string} text @returns {HTMLElement} */
function command(text) {
  return el("div", { class: "command" }, el("code", { text }), copyButton(() => text, "Copy"));
}
