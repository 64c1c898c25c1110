/**
 * One WebSocket to the Gateway, from its opening to its end.
 *
 * The Gateway speaks first (`connect.challenge`); we answer with `connect`; after `hello-ok`
 * requests are answered by id and events arrive with a `seq` that has no holes unless something was
 * dropped.
 * A connection is used once: when it ends, every open request fails and a new object takes over.
 */

const HANDSHAKE_MS = 10_000;
const REQUEST_MS = 30_000;

/** The Gateway answered a request with an error. */
export class RequestError extends Error {
  /** @param {{code?: string, message?: string, details?: any, retryable?: boolean,
   *   retryAfterMs?: number}} error as it came */
  constructor(error) {
    super(error.message || error.code || "The Gateway refused without a reason.");
    this.code = error.code ?? "UNAVAILABLE";
    this.details = error.details ?? {};
    this.retryable = error.retryable === true;
    this.retryAfterMs = error.retryAfterMs ?? error.details?.retryAfterMs;
  }
}

/** The connection ended, or no answer came in time; what was asked may or may not have happened. */
export class ConnectionLost extends Error {}

/** One socket. */
export class Connection {
  /**
   * @param {{url: string, connectParams: (nonce: string) => Promise<object>,
   *   onEvent: (event: string, payload: any) => void, onGap: () => void,
   *   onEnd: (reason: string) => void}} options
   */
  constructor(options) {
    this.options = options;
    this.lastFrameAt = performance.now();
    this.ended = false;
    this.nextId = 1;
    /** @type {number|null} */
    this.lastSeq = null;
    /** @type {Map<string, {resolve: (payload: any) => void, reject: (error: Error) => void,
     *   timer: number}>} */
    this.pending = new Map();
  }

  /**
   * Connect and shake hands.
   * @returns {Promise<any>} the hello-ok payload
   * @throws {RequestError} the Gateway refused @throws {ConnectionLost} it could not be reached
   */
  open() {
    return new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
      this.deadline = setTimeout(
        () => this.end("The Gateway did not complete the handshake in time."), HANDSHAKE_MS);
      this.socket = new WebSocket(this.options.url);
      this.socket.onmessage = (message) => this.receive(message.data);
      this.socket.onclose = (event) => this.end(event.reason || "The connection was closed.");
    });
  }

  /**
   * Ask the Gateway for something.
   * @param {string} method @param {object} [params] @param {number} [timeoutMs]
   * @returns {Promise<any>} the result
   * @throws {RequestError|ConnectionLost}
   */
  request(method, params = {}, timeoutMs = REQUEST_MS) {
    if (this.ended || this.socket?.readyState !== WebSocket.OPEN) {
      return Promise.reject(new ConnectionLost("There is no connection to the Gateway."));
    }
    const id = String(this.nextId++);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.pending.delete(id);
        reject(new ConnectionLost(`The Gateway did not answer ${method} in time.`));
      }, timeoutMs);
      this.pending.set(id, { resolve, reject, timer });
      this.socket?.send(JSON.stringify({ type: "req", id, method, params }));
    });
  }

  /**
   * Give the connection up. During the handshake `open` fails; later `onEnd` hears of it.
   * @param {string} reason @param {unknown} [error]
   */
  end(reason, error = new ConnectionLost(reason)) {
    if (this.ended) return;
    this.ended = true;
    clearTimeout(this.deadline);
    for (const { reject, timer } of this.pending.values()) {
      clearTimeout(timer);
      reject(new ConnectionLost(reason));
    }
    this.pending.clear();
    this.socket?.close();
    if (this.settle) this.settle.reject(error);
    else this.options.onEnd(reason);
  }

  /** @param {unknown} data */
  receive(data) {
    if (this.ended) return;
    this.lastFrameAt = performance.now();
    const frame = parseFrame(data);
    if (frame?.type === "res") this.receiveResponse(frame);
    else if (frame?.type === "event") this.receiveEvent(frame);
  }

  /** @param {any} frame */
  receiveResponse(frame) {
    const waiting = this.pending.get(frame.id);
    if (!waiting) return;
    this.pending.delete(frame.id);
    clearTimeout(waiting.timer);
    if (frame.ok) waiting.resolve(frame.payload ?? {});
    else waiting.reject(new RequestError(frame.error ?? {}));
  }

  /** @param {any} frame */
  receiveEvent(frame) {
    const payload = frame.payload ?? {};
    if (frame.event === "connect.challenge") {
      this.shakeHands(String(payload.nonce ?? ""));
      return;
    }
    if (typeof frame.seq === "number") {
      const hole = this.lastSeq !== null && frame.seq > this.lastSeq + 1;
      this.lastSeq = frame.seq;
      if (hole) this.options.onGap();
    }
    this.options.onEvent(frame.event, payload);
  }

  /** @param {string} nonce */
  async shakeHands(nonce) {
    try {
      const hello = await this.request("connect", await this.options.connectParams(nonce));
      clearTimeout(this.deadline);
      this.settle?.resolve(hello);
      this.settle = undefined;
    } catch (error) {
      this.end("The handshake failed.", error);
    }
  }
}

/** @param {unknown} data @returns {any} undefined when it is no JSON object */
function parseFrame(data) {
  try {
    const frame = JSON.parse(String(data));
    return typeof frame === "object" && frame !== null ? frame : undefined;
  } catch {
    return undefined;
  }
}
