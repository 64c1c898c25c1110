/**
 * A lasting line to the Gateway: connects, waits, connects again.
 *
 * A lost connection is retried with exponential back-off and jitter, and at once when the browser
 * says the network or the page is back. When no frame came for two tick intervals the connection
 * counts as dead. A refusal is never hammered: it is reported, and the next attempt waits for the
 * person (a secret), for the operator (pairing, every few seconds), or as long as the Gateway said.
 */

import { Connection, ConnectionLost, RequestError } from "./connection.js";
import { Credentials } from "./credentials.js";

const PROTOCOL = 4;
const VERSION = "1";
const CLIENT = { id: "webchat-ui", mode: "webchat" };
const ROLE = "operator";
const SCOPES = [
  "operator.read", "operator.write", "operator.approvals", "operator.pairing", "operator.admin",
];
const CAPS = ["tool-events"];

const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 20_000;
const STEADY_MS = 3_000;
const PAIRING_DELAY_MS = 3_000;
const DEFAULT_TICK_MS = 30_000;

/**
 * @typedef {{name: "connecting", first: boolean}
 *   | {name: "online", hello: any}
 *   | {name: "offline", reason: string, restarting: boolean, retryInMs: number}
 *   | {name: "refused", verdict: import("./credentials.js").Verdict}} LineState
 */

/** The Gateway, as the rest of the page sees it. */
export class Gateway {
  /**
   * @param {{url: string, identity: import("./identity.js").DeviceIdentity,
   *   credentials: Credentials, onState: (state: LineState) => void,
   *   onEvent: (event: string, payload: any) => void, onGap: () => void}} options
   */
  constructor(options) {
    this.options = options;
    /** @type {Connection|null} */
    this.connection = null;
    this.failures = 0;
    this.everOnline = false;
    this.restarting = false;
    this.mayWake = false;
    this.onlineSince = Infinity; // no connection was up yet
    /** @type {string[]} scopes the Gateway granted */
    this.scopes = [];
    this.onWake = () => this.wake();
  }

  /** Begin, and keep going until the page goes away. */
  start() {
    window.addEventListener("online", this.onWake);
    document.addEventListener("visibilitychange", this.onWake);
    this.connect();
  }

  /** @returns {boolean} whether requests can be sent now */
  get online() {
    return this.ready === this.connection && this.connection !== null;
  }

  /** @param {string} scope @returns {boolean} whether the Gateway granted it */
  may(scope) {
    return this.scopes.includes("operator.admin") || this.scopes.includes(scope);
  }

  /**
   * Ask the Gateway for something.
   * @param {string} method @param {object} [params] @param {number} [timeoutMs]
   * @returns {Promise<any>} the result
   * @throws {RequestError|ConnectionLost}
   */
  request(method, params, timeoutMs) {
    if (!this.connection || !this.online) {
      return Promise.reject(new ConnectionLost("There is no connection to the Gateway."));
    }
    return this.connection.request(method, params, timeoutMs);
  }

  /** Try again now. */
  async connect() {
    clearTimeout(this.retryTimer);
    if (this.connection) return;
    this.options.onState({ name: "connecting", first: !this.everOnline });
    const connection = new Connection({
      url: this.options.url,
      connectParams: (nonce) => this.connectParams(nonce),
      onEvent: (event, payload) => this.receive(event, payload),
      onGap: () => this.options.onGap(),
      onEnd: (reason) => this.lost(reason),
    });
    this.connection = connection;
    try {
      this.welcome(connection, await connection.open());
    } catch (error) {
      if (error instanceof RequestError && !isPassing(error)) this.refused(error);
      else this.lost(error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {string} nonce @returns {Promise<object>} */
  async connectParams(nonce) {
    const auth = this.options.credentials.next();
    const token = Credentials.signedToken(auth);
    const claim = {
      clientId: CLIENT.id, clientMode: CLIENT.mode, role: ROLE, scopes: SCOPES, token, nonce,
    };
    return {
      minProtocol: PROTOCOL,
      maxProtocol: PROTOCOL,
      client: { ...CLIENT, displayName: "WebChat", version: VERSION, platform: "web" },
      role: ROLE,
      scopes: SCOPES,
      caps: CAPS,
      auth,
      device: await this.options.identity.sign(claim, Date.now()),
    };
  }

  /** @param {Connection} connection @param {any} hello */
  welcome(connection, hello) {
    this.ready = connection;
    this.onlineSince = performance.now();
    this.everOnline = true;
    this.restarting = false;
    this.scopes = hello.auth?.scopes ?? SCOPES;
    this.options.credentials.accepted(hello);
    this.watchTicks(connection, hello.policy?.tickIntervalMs ?? DEFAULT_TICK_MS);
    this.options.onState({ name: "online", hello });
  }

  /** @param {Connection} connection @param {number} tickMs */
  watchTicks(connection, tickMs) {
    clearInterval(this.tickTimer);
    this.tickTimer = setInterval(() => {
      const silentMs = performance.now() - connection.lastFrameAt;
      if (silentMs > 2 * tickMs) connection.end("Nothing was heard from the Gateway.");
    }, tickMs / 2);
  }

  /** @param {RequestError} error */
  refused(error) {
    this.connection = null;
    this.mayWake = false;
    const verdict = this.options.credentials.refused(error);
    if (verdict.kind === "retry") {
      this.connect();
      return;
    }
    if (verdict.kind === "pairing") this.retryIn(PAIRING_DELAY_MS);
    else if (verdict.kind === "rateLimited") this.retryIn(verdict.retryAfterMs);
    else if (verdict.kind !== "ask") this.retryIn(MAX_DELAY_MS);
    this.options.onState({ name: "refused", verdict });
  }

  /** There is no connection (any more). @param {string} reason */
  lost(reason) {
    this.connection = null;
    this.mayWake = true;
    clearInterval(this.tickTimer);
    // A Gateway that lets us in and drops us at once must not be called in a tight loop.
    if (performance.now() - this.onlineSince > STEADY_MS) this.failures = 0;
    this.onlineSince = Infinity;
    const retryInMs = this.backOff();
    this.retryIn(retryInMs);
    this.options.onState({ name: "offline", reason, restarting: this.restarting, retryInMs });
  }

  /** @param {string} event @param {any} payload */
  receive(event, payload) {
    if (event === "shutdown") this.restarting = true;
    this.options.onEvent(event, payload);
  }

  /** @returns {number} milliseconds: doubling, with jitter, capped */
  backOff() {
    const full = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** this.failures);
    this.failures += 1;
    return full * (0.5 + Math.random() / 2);
  }

  /** @param {number} ms */
  retryIn(ms) {
    clearTimeout(this.retryTimer);
    this.retryTimer = setTimeout(() => this.connect(), ms);
  }

  /** The network or the page came back: do not sit out the delay. */
  wake() {
    const visible = document.visibilityState === "visible" && navigator.onLine;
    if (visible && this.mayWake && !this.connection) this.connect();
  }
}

/** Whether the Gateway has a problem of its own, not with us. @param {RequestError} error */
function isPassing(error) {
  return error.retryable && error.code === "UNAVAILABLE";
}
