/**
 * Which credential to show the Gateway, and what a refusal means.
 *
 * Order: what the person just gave (typed, or in the link); else the device token the Gateway
 * issued to this browser; else the token or password that worked last time; else nothing, for a
 * Gateway that asks for none. A refused credential is forgotten, and the next one is tried. A typed
 * secret is kept only after it worked.
 */

/**
 * @typedef {"token"|"password"|"deviceToken"} SecretKind
 * @typedef {{kind: SecretKind, value: string}} Secret
 * @typedef {{kind: "retry"}
 *   | {kind: "ask", secret: "token"|"password", wrong: boolean}
 *   | {kind: "pairing", requestId: string, deviceId: string, message: string}
 *   | {kind: "rateLimited", retryAfterMs: number}
 *   | {kind: "origin", message: string}
 *   | {kind: "other", message: string, code: string}} Verdict
 */

/** @type {Record<string, "token"|"password">} */
const ASKS = {
  AUTH_REQUIRED: "token",
  AUTH_UNAUTHORIZED: "token",
  AUTH_TOKEN_MISSING: "token",
  AUTH_TOKEN_MISMATCH: "token",
  AUTH_PASSWORD_MISSING: "password",
  AUTH_PASSWORD_MISMATCH: "password",
};

const DEFAULT_RATE_LIMIT_MS = 30_000;

/** The credentials of this browser. */
export class Credentials {
  /** @param {import("./storage.js").BrowserStorage} storage */
  constructor(storage) {
    this.storage = storage;
    /** @type {Secret|null} given by the person, not proven yet */
    this.given = null;
    /** @type {Secret|null} */
    this.shown = null;
  }

  /** Use a secret the person gave. @param {"token"|"password"} kind @param {string} value */
  give(kind, value) {
    this.given = { kind, value };
  }

  /**
   * The `auth` member for the next attempt.
   * @returns {Record<string, string>} empty when there is nothing to show
   */
  next() {
    this.shown = this.given ?? this.stored("deviceToken") ?? this.stored("token")
      ?? this.stored("password");
    return this.shown ? { [this.shown.kind]: this.shown.value } : {};
  }

  /**
   * The text a device signature covers for this `auth`.
   * @param {Record<string, string>} auth
   * @returns {string}
   */
  static signedToken(auth) {
    return auth.token ?? auth.deviceToken ?? "";
  }

  /** The Gateway said yes. @param {{auth?: {deviceToken?: string}}} hello */
  accepted(hello) {
    this.keepGiven();
    if (hello.auth?.deviceToken) this.storage.write("deviceToken", hello.auth.deviceToken);
  }

  /**
   * The Gateway said no.
   * @param {import("./connection.js").RequestError} error
   * @returns {Verdict} what to do about it
   */
  refused(error) {
    const code = String(error.details.code ?? error.code);
    if (code === "PAIRING_REQUIRED" || error.code === "NOT_PAIRED") {
      this.keepGiven(); // pairing is asked for only after the secret was found right
      return pairing(error);
    }
    if (code === "AUTH_RATE_LIMITED") {
      return { kind: "rateLimited", retryAfterMs: error.retryAfterMs ?? DEFAULT_RATE_LIMIT_MS };
    }
    if (code === "CONTROL_UI_ORIGIN_NOT_ALLOWED") return { kind: "origin", message: error.message };
    if (code === "AUTH_DEVICE_TOKEN_MISMATCH" || code in ASKS) return this.refusedSecret(code);
    return { kind: "other", message: error.message, code };
  }

  /** What the person gave has worked. */
  keepGiven() {
    if (this.given) this.storage.write(this.given.kind, this.given.value);
    this.given = null;
  }

  /** @param {string} code @returns {Verdict} */
  refusedSecret(code) {
    const wrong = this.shown;
    if (wrong?.kind === "deviceToken") {
      this.storage.write("deviceToken", null);
      return { kind: "retry" };
    }
    if (wrong && wrong === this.given) this.given = null;
    else if (wrong) this.storage.write(wrong.kind, null);
    return { kind: "ask", secret: ASKS[code] ?? "token", wrong: wrong !== null };
  }

  /** @param {SecretKind} kind @returns {Secret|null} */
  stored(kind) {
    const value = this.storage.read(kind);
    return value ? { kind, value } : null;
  }
}

/** @param {import("./connection.js").RequestError} error @returns {Verdict} */
function pairing(error) {
  return {
    kind: "pairing",
    requestId: String(error.details.requestId ?? ""),
    deviceId: String(error.details.deviceId ?? ""),
    message: error.message,
  };
}
