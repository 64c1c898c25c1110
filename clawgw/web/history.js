/**
 * Stored messages as items of a conversation.
 *
 * The Gateway keeps one record per message: what a person wrote, each part of an answer, each tool
 * result. On the page one turn of the agent is one item, with its texts, thoughts and tool calls in
 * order; a tool's result belongs to its call.
 */

/**
 * @typedef {{type: "text", text: string}
 *   | {type: "thinking", text: string}
 *   | {type: "image", mimeType: string, data: string}
 *   | {type: "plan", entries: {content: string, status: string}[]}
 *   | ToolPart} Part
 * @typedef {{type: "tool", id: string, name: string, args: unknown, result: string,
 *   images: {mimeType: string, data: string}[], state: "running"|"done"|"failed"}} ToolPart
 * @typedef {{key: string, role: "user"|"assistant", parts: Part[], timestamp?: number,
 *   runId?: string, state: "done"|"waiting"|"streaming"|"aborted"|"error"|"unsent"|"failed",
 *   phase?: string, error?: string, note?: boolean, revision: number}} Item a note was put into
 *   the transcript by somebody else than the agent
 */

const NOTE = "injected";
const STOPPED = new Set(["aborted", "cancelled", "rpc", "reset"]);

/**
 * Items of a page of history.
 * @param {any[]} messages as `chat.history` gives them, oldest first
 * @returns {Item[]}
 */
export function itemsFromHistory(messages) {
  /** @type {Item[]} */
  const items = [];
  messages.forEach((message, index) => addMessage(items, message, index));
  return items.filter((item) => item.parts.length > 0 || item.error);
}

/**
 * The text of a message's content.
 * @param {unknown} content a string or blocks
 * @returns {string}
 */
export function contentText(content) {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  const texts = content.filter((block) => block?.type === "text");
  return texts.map((block) => block.text ?? "").join("\n");
}

/**
 * The texts among the pieces of an item.
 * @param {Part[]} parts @param {string} between
 * @returns {string}
 */
export function textOf(parts, between) {
  return parts.flatMap((part) => (part.type === "text" ? part.text : [])).join(between);
}

/**
 * Set the outcome of a tool call.
 * @param {ToolPart} part @param {any} result `{content: blocks}`, blocks, or text
 * @param {boolean} running whether more may come @param {boolean} failed
 */
export function setToolResult(part, result, running, failed) {
  const content = result?.content ?? result;
  part.result = contentText(content) || plainResult(content);
  part.images = imagesIn(content);
  part.state = running ? "running" : failed ? "failed" : "done";
}

/** @param {unknown} content @returns {string} */
function plainResult(content) {
  if (content === undefined || content === null || Array.isArray(content)) return "";
  return JSON.stringify(content, null, 2);
}

/** @param {unknown} content @returns {{mimeType: string, data: string}[]} */
function imagesIn(content) {
  if (!Array.isArray(content)) return [];
  return content
    .filter((block) => block?.type === "image" && block.data)
    .map(({ mimeType, data }) => ({ mimeType: String(mimeType), data: String(data) }));
}

/** @param {Item[]} items @param {any} message @param {number} index */
function addMessage(items, message, index) {
  if (message.role === "user") items.push(userItem(message, index));
  else if (message.role === "assistant") addAnswer(items, message, index);
  else if (message.role === "toolResult") addToolResult(items, message);
}

/** @param {any} message @param {number} index @returns {Item} */
function userItem(message, index) {
  const runId = runIdOf(message);
  return {
    key: runId ? `user:${runId}` : keyOf(message, index),
    role: "user",
    runId,
    parts: partsOf(message.content),
    timestamp: message.timestamp,
    state: "done",
    revision: 0,
  };
}

/** @param {Item[]} items @param {any} message @param {number} index */
function addAnswer(items, message, index) {
  const runId = runIdOf(message);
  const last = items.at(-1);
  const sameTurn = last?.role === "assistant" && !last.note && message.stopReason !== NOTE
    && (last.runId ?? runId) === (runId ?? last.runId);
  const item = sameTurn ? last : answerItem(runId, runId ? `run:${runId}` : keyOf(message, index));
  if (!sameTurn) items.push(item);
  item.runId ??= runId;
  item.note = message.stopReason === NOTE;
  item.timestamp = message.timestamp ?? item.timestamp;
  item.parts.push(...partsOf(message.content));
  if (message.stopReason === "error" || message.errorMessage) {
    item.state = "error";
    item.error = message.errorMessage || "The agent stopped with an error.";
  } else if (STOPPED.has(message.stopReason)) {
    item.state = "aborted";
  }
}

/**
 * An empty answer.
 * @param {string|undefined} runId @param {string} key
 * @returns {Item}
 */
export function answerItem(runId, key) {
  return { key, role: "assistant", runId, parts: [], state: "done", revision: 0 };
}

/** @param {Item[]} items @param {any} message */
function addToolResult(items, message) {
  const id = String(message.toolCallId ?? "");
  const turn = items.findLast((item) => item.role === "assistant");
  if (!turn) return;
  let part = turn.parts.find((each) => each.type === "tool" && each.id === id);
  if (!part) {
    part = toolPart(id, message.toolName ?? "tool", undefined);
    turn.parts.push(part);
  }
  setToolResult(/** @type {ToolPart} */ (part), message.content, false, message.isError === true);
}

/**
 * A tool call without a result.
 * @param {string} id @param {string} name @param {unknown} args
 * @returns {ToolPart}
 */
export function toolPart(id, name, args) {
  return { type: "tool", id, name, args, result: "", images: [], state: "done" };
}

/** @param {unknown} content @returns {Part[]} */
function partsOf(content) {
  if (typeof content === "string") return content ? [{ type: "text", text: content }] : [];
  if (!Array.isArray(content)) return [];
  return content.flatMap((block) => partOf(block) ?? []);
}

/** @param {any} block @returns {Part|null} */
function partOf(block) {
  switch (block?.type) {
    case "text":
      return block.text ? { type: "text", text: String(block.text) } : null;
    case "thinking":
      return block.thinking || block.text
        ? { type: "thinking", text: String(block.thinking ?? block.text) } : null;
    case "toolCall":
      return toolPart(String(block.id ?? ""), String(block.name ?? "tool"), block.arguments);
    case "image":
      return block.data
        ? { type: "image", mimeType: String(block.mimeType), data: String(block.data) } : null;
    default:
      return null;
  }
}

/** @param {any} message @returns {string|undefined} the run it belongs to, where it says so */
function runIdOf(message) {
  const known = message.__openclaw?.runId ?? message.runId;
  if (known) return String(known);
  const key = message.idempotencyKey ?? message.__openclaw?.idempotencyKey;
  return key ? String(key).replace(/:(user|assistant)$/, "") : undefined;
}

/** @param {any} message @param {number} index @returns {string} */
function keyOf(message, index) {
  const meta = message.__openclaw ?? {};
  return `message:${meta.id ?? meta.seq ?? `${message.timestamp}-${index}`}`;
}
