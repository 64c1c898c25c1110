/**
 * JSON-RPC 2.0 over standard input and output, one JSON object a line.
 *
 * The parent asks, we answer and notify; we ask nothing. When the parent closes our input, it wants
 * us to end, or has died: both are `onEnd`.
 */

const PARSE_ERROR = -32700;
const INVALID_REQUEST = -32600;
const METHOD_NOT_FOUND = -32601;
const FAILED = -32000;
const LONGEST_LINE = 32 * 1024 * 1024;

/** What a handler throws to answer with an error; `reason` is one of the words in README.md. */
export class RpcError extends Error {
  constructor(reason, message, data = {}) {
    super(message);
    this.data = { reason, ...data };
  }
}

/** Serve `methods` on two streams; returns what notifies. */
export function serve(input, output, methods, { onEnd, describe = String }) {
  const write = (message) => output.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  const fail = (id, code, message, data) => write({ id, error: { code, message, data } });

  async function handle(line) {
    let message;
    try {
      message = JSON.parse(line);
    } catch {
      return fail(null, PARSE_ERROR, "a line that is no JSON");
    }
    if (typeof message?.method !== "string") {
      if (message?.id !== undefined) fail(message.id, INVALID_REQUEST, "a request has a method");
      return;
    }
    const { id, method, params } = message;
    const handler = Object.hasOwn(methods, method) ? methods[method] : undefined;
    if (!handler) {
      if (id !== undefined) fail(id, METHOD_NOT_FOUND, `there is no method ${JSON.stringify(method)}`);
      return;
    }
    try {
      const result = await handler(params ?? {});
      if (id !== undefined) write({ id, result: result ?? {} });
    } catch (error) {
      if (id === undefined) return;
      const data = error instanceof RpcError ? error.data : { reason: "failed" };
      fail(id, FAILED, error instanceof RpcError ? error.message : describe(error), data);
    }
  }

  let parts = [];
  let size = 0;
  input.on("data", (chunk) => {
    let start = 0;
    for (let end; (end = chunk.indexOf(10, start)) !== -1; start = end + 1) {
      parts.push(chunk.subarray(start, end));
      const line = Buffer.concat(parts).toString("utf8").trim();
      parts = [];
      size = 0;
      if (line) void handle(line);
    }
    if (start < chunk.length) {
      parts.push(chunk.subarray(start));
      size += chunk.length - start;
      if (size > LONGEST_LINE) onEnd("a line that is too long");
    }
  });
  input.on("end", () => onEnd("its input was closed"));
  input.on("error", () => onEnd("its input was lost"));
  output.on("error", () => onEnd("its output was lost"));
  return { notify: (method, params) => write({ method, params }) };
}
