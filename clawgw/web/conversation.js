/**
 * One session as the page knows it: stored messages, what is being sent, and answers that grow.
 *
 * History is the truth; everything else is kept only until history has it. While a run goes on, its
 * text comes as `chat` events (the whole text so far each time), its tool calls and thoughts as
 * `agent` events. Tool calls stand between pieces of text: the text before a call is closed when
 * the call starts, and what the whole has beyond it follows the call. A run that neither this
 * connection nor a fresh history knows to be going on has ended unseen; should it speak again after
 * all, it is simply there again.
 */

import {
  answerItem, contentText, itemsFromHistory, setToolResult, textOf, toolPart,
} from "./history.js";

/**
 * @typedef {import("./history.js").Item} Item
 * @typedef {import("./history.js").Part} Part
 * @typedef {{item: Item, closed: string, open: Extract<Part, {type: "text"}>|null, epoch: number,
 *   begun: boolean, doubted: boolean, endedAt: number|null}} Run
 *   `closed`: the text before the last tool call; `open`: the part that grows; `epoch`: the
 *   connection it was last heard on; `begun`: whether the agent was asked; `doubted`: whether a
 *   history did not know it; `endedAt`: a step of this object's clock
 */

/** The items of one session and the rules by which they change. */
export class Conversation {
  /** @param {string} sessionKey the full key, `agent:<agentId>:<rest>` */
  constructor(sessionKey) {
    this.sessionKey = sessionKey;
    /** @type {any[]} */
    this.messages = [];
    /** @type {Item[]} */
    this.stored = [];
    /** @type {Map<string, Item>} what was written here and is not in history yet, by run id */
    this.written = new Map();
    /** @type {Map<string, Run>} */
    this.runs = new Map();
    /** @type {Map<string, Part>} plans by run: history does not keep them */
    this.plans = new Map();
    /** @type {Set<string>} runs whose end was seen; what straggles in later is ignored */
    this.finished = new Set();
    this.hasMore = false;
    this.loaded = false;
    this.epoch = 0;
    this.clock = 0;
  }

  /** @returns {string|null} the run an abort stops: the one that has been going on longest */
  get activeRunId() {
    for (const [runId, run] of this.runs) {
      if (run.endedAt === null) return runId;
    }
    return null;
  }

  /** A new connection began. */
  nextEpoch() {
    this.epoch += 1;
  }

  /** Call when history is asked for. @returns {number} the mark to hand to `applyHistory` */
  mark() {
    this.clock += 1;
    return this.clock;
  }

  /**
   * The items to show, in order: history, then what was written since; each live answer after its
   * question.
   * @returns {Item[]}
   */
  items() {
    const items = [...this.stored, ...this.written.values()];
    for (const [runId, { item }] of this.runs) {
      const partly = items.findIndex((each) => each.role === "assistant" && each.runId === runId);
      const question = items.findIndex((each) => each.key === `user:${runId}`);
      if (partly >= 0) items[partly] = item;
      else if (question >= 0) items.splice(question + 1, 0, item);
      else items.push(item);
    }
    return items;
  }

  /**
   * Take the newest page of history.
   * @param {any} result of `chat.history` @param {number} mark when it was asked for
   * @returns {boolean} whether it leaves a doubt that a later reading will settle
   */
  applyHistory(result, mark) {
    this.takeNewest(result.messages ?? [], result.hasMore === true);
    this.loaded = true;
    this.rebuild();
    for (const [runId, run] of this.runs) {
      if (this.isSettled(runId, run, mark, result.inFlightRun)) this.runs.delete(runId);
    }
    if (result.inFlightRun) this.applyInFlight(result.inFlightRun);
    return [...this.runs.values()].some((run) => run.doubted);
  }

  /**
   * What was read of older pages stays, as long as the new page follows on it.
   * @param {any[]} messages @param {boolean} hasMore whether there are older ones
   */
  takeNewest(messages, hasMore) {
    const first = messages.length > 0 ? messageId(messages[0]) : null;
    const at = this.messages.findIndex((message) => messageId(message) === first);
    if (at <= 0) this.hasMore = hasMore;
    this.messages = [...this.messages.slice(0, Math.max(0, at)), ...messages];
  }

  /** Take an older page. @param {any} result of `chat.history` with an offset */
  prependHistory(result) {
    const known = new Set(this.messages.map(messageId));
    const older = (result.messages ?? []).filter(
      (/** @type {any} */ message) => !known.has(messageId(message)));
    this.messages = [...older, ...this.messages];
    this.hasMore = result.hasMore === true && older.length > 0;
    this.rebuild();
  }

  /** The session was emptied. */
  clear() {
    this.messages = [];
    this.runs.clear();
    this.written.clear();
    this.hasMore = false;
    this.rebuild();
  }

  rebuild() {
    this.stored = itemsFromHistory(this.messages);
    for (const item of this.stored) {
      if (item.role === "user" && item.runId) this.written.delete(item.runId);
      const plan = item.role === "assistant" ? this.plans.get(item.runId ?? "") : undefined;
      if (plan) item.parts.unshift(plan);
    }
  }

  /**
   * Whether history leaves nothing to show of a run.
   * @param {string} runId @param {Run} run @param {number} mark @param {any} inFlight
   */
  isSettled(runId, run, mark, inFlight) {
    if (inFlight?.runId === runId) return false;
    if (this.isAnswered(runId)) return true;
    if (run.endedAt !== null) return run.endedAt < mark && run.item.state !== "error";
    if (run.epoch !== this.epoch) return !inFlight;
    return this.isOverUnseen(run);
  }

  /**
   * A run that had begun and is in flight no more is over, or is being written down at this moment:
   * the second history in a row that does not know it decides.
   * @param {Run} run
   */
  isOverUnseen(run) {
    if (!run.begun) return false;
    const before = run.doubted;
    run.doubted = true;
    return before;
  }

  /** @param {string} runId @returns {boolean} whether history has an answer to it */
  isAnswered(runId) {
    const at = this.stored.findIndex((item) => item.key === `user:${runId}`);
    const next = at < 0 ? undefined : this.stored[at + 1];
    const follows = next?.role === "assistant" && next.runId === undefined;
    return follows || this.stored.some((item) => item.role === "assistant" && item.runId === runId);
  }

  /** A run that goes on while history was read. @param {{runId: string, text?: string}} inFlight */
  applyInFlight({ runId, text = "" }) {
    if (this.finished.has(runId)) return;
    const known = this.runs.get(runId);
    const run = known ?? this.run(runId);
    hear(run);
    const partly = this.stored.find((item) => item.role === "assistant" && item.runId === runId);
    if (!known && partly) {
      run.item.parts = [...partly.parts];
      run.closed = textOf(partly.parts, "");
    }
    if (text.length > run.closed.length + (run.open?.text.length ?? 0)) showText(run, text);
  }

  /**
   * Something the person wrote, shown before the Gateway has it.
   * @param {{id: string, text: string, createdAt: number}} entry
   */
  write(entry) {
    this.written.set(entry.id, {
      key: `user:${entry.id}`,
      role: "user",
      runId: entry.id,
      parts: [{ type: "text", text: entry.text }],
      timestamp: entry.createdAt,
      state: "unsent",
      revision: 0,
    });
  }

  /**
   * The Gateway took a message. Was it in history before, then this was a second sending, and the
   * run may long be over: then it shows itself, or it does not.
   * @param {string} runId
   */
  accepted(runId) {
    this.setWritten(runId, "done");
    const before = this.stored.some((item) => item.key === `user:${runId}`);
    if (!before && !this.finished.has(runId)) this.run(runId);
  }

  /** The Gateway did not take a message. @param {string} runId @param {string} error */
  rejected(runId, error) {
    this.setWritten(runId, "failed", error);
  }

  /** Take back what was written. @param {string} runId */
  discard(runId) {
    this.written.delete(runId);
  }

  /** @param {string} runId @param {Item["state"]} state @param {string} [error] */
  setWritten(runId, state, error) {
    const item = this.written.get(runId);
    if (!item) return;
    item.state = state;
    item.error = error;
    item.revision += 1;
  }

  /**
   * A `chat` event of this session.
   * @param {any} payload
   * @returns {{started: boolean, ended: boolean}} `started`: a run that this page did not know
   */
  applyChat(payload) {
    if (this.finished.has(payload.runId)) return { started: false, ended: false };
    const started = !this.knows(payload.runId);
    const run = this.run(payload.runId);
    hear(run);
    run.item.revision += 1;
    if (payload.state === "status") run.item.phase = payload.phase;
    else this.applyText(run, payload);
    const ended = ["final", "aborted", "error"].includes(payload.state);
    if (ended) this.end(payload, run);
    return { started, ended };
  }

  /** @param {Run} run @param {any} payload */
  applyText(run, payload) {
    const whole = payload.message ? contentText(payload.message.content) : null;
    const grown = run.closed + (run.open?.text ?? "") + (payload.deltaText ?? "");
    const text = whole ?? (payload.replace ? payload.deltaText ?? "" : grown);
    if (text) showText(run, text, payload.replace ? undefined : payload.deltaText);
    run.item.timestamp = payload.message?.timestamp ?? run.item.timestamp;
    if (payload.state === "delta") run.item.state = "streaming";
  }

  /** @param {any} payload @param {Run} run */
  end(payload, run) {
    this.finished.add(payload.runId);
    run.endedAt = this.mark();
    run.item.state = payload.state === "final" ? "done" : payload.state;
    if (payload.state === "error") {
      run.item.error = payload.errorMessage || "The agent stopped with an error.";
    }
    for (const part of run.item.parts) {
      if (part.type === "tool" && part.state === "running") part.state = "failed";
    }
    if (run.item.parts.length === 0 && run.item.state === "done") this.runs.delete(payload.runId);
  }

  /**
   * An `agent` event of this session.
   * @param {any} payload
   * @returns {{started: boolean, ended: boolean}}
   */
  applyAgent(payload) {
    const { runId, stream, data = {} } = payload;
    const change = STREAMS.get(stream);
    if (!change || this.finished.has(runId)) return { started: false, ended: false };
    const started = !this.knows(runId);
    const run = this.run(runId);
    hear(run);
    change(run, data);
    const plan = run.item.parts.find((part) => part.type === "plan");
    if (plan) this.plans.set(runId, plan);
    run.item.state = "streaming";
    run.item.revision += 1;
    return { started, ended: false };
  }

  /** @param {string} runId @returns {boolean} whether a run was seen, or was asked for here */
  knows(runId) {
    return this.runs.has(runId) || this.written.has(runId);
  }

  /** @param {string} runId @returns {Run} the run, begun if it is new */
  run(runId) {
    let run = this.runs.get(runId);
    if (!run) {
      const item = answerItem(runId, `run:${runId}`);
      item.state = "waiting";
      run = { item, closed: "", open: null, epoch: this.epoch, begun: false, doubted: false,
        endedAt: null };
      this.runs.set(runId, run);
    }
    run.epoch = this.epoch;
    return run;
  }
}

/** @type {Map<string, (run: Run, data: any) => void>} */
const STREAMS = new Map([["tool", applyTool], ["thinking", applyThinking], ["plan", applyPlan]]);

/** The Gateway spoke of a run. @param {Run} run */
function hear(run) {
  run.begun = true;
  run.doubted = false;
}

/** @param {any} message @returns {unknown} what tells messages apart; itself where it has no id */
function messageId(message) {
  return message.__openclaw?.id ?? message;
}

/**
 * Show the whole text of a run so far.
 * @param {Run} run @param {string} text @param {string} [delta] what is new in it
 */
function showText(run, text, delta) {
  let rest = text.startsWith(run.closed) ? text.slice(run.closed.length) : beyond(text, run.closed);
  if (rest === null && text === delta) {
    run.closed = ""; // the Gateway began to count anew after the tool call
    rest = text;
  }
  if (rest === null) {
    run.item.parts = run.item.parts.filter((part) => part.type !== "text");
    run.closed = "";
    run.open = null;
    rest = text;
  }
  setOpenText(run, run.closed ? rest.replace(/^\n+/, "") : rest);
  if (run.item.state === "waiting") run.item.state = "streaming";
  run.item.revision += 1;
}

/** @param {Run} run @param {string} text */
function setOpenText(run, text) {
  if (!run.open && text === "") return;
  if (!run.open) {
    run.open = { type: "text", text: "" };
    run.item.parts.push(run.open);
  }
  run.open.text = text;
}

/**
 * What a text has beyond its beginning, where the two may differ in white space.
 * @param {string} text @param {string} beginning
 * @returns {string|null} null when it does not begin so
 */
function beyond(text, beginning) {
  let at = 0;
  for (const char of beginning.replace(/\s+/g, "")) {
    while (at < text.length && /\s/.test(text[at])) at += 1;
    if (!text.startsWith(char, at)) return null;
    at += char.length;
  }
  return text.slice(at);
}

/** Text that follows belongs after what comes now. @param {Run} run */
function closeText(run) {
  if (!run.open) return;
  run.closed += run.open.text;
  run.open = null;
}

/** @param {Run} run @param {any} data */
function applyTool(run, data) {
  const id = String(data.toolCallId ?? "");
  let part = run.item.parts.find((each) => each.type === "tool" && each.id === id);
  if (!part) {
    closeText(run);
    part = toolPart(id, String(data.name ?? "tool"), data.args);
    part.state = "running";
    run.item.parts.push(part);
  }
  if (part.type !== "tool") return;
  if (data.args !== undefined) part.args = data.args;
  if (data.phase === "update") setToolResult(part, data.partialResult, true, false);
  if (data.phase === "result") setToolResult(part, data.result, false, data.isError === true);
}

/** @param {Run} run @param {any} data */
function applyThinking(run, data) {
  let last = run.item.parts.at(-1);
  if (last?.type !== "thinking") {
    closeText(run);
    last = { type: "thinking", text: "" };
    run.item.parts.push(last);
    last.text = String(data.delta ?? data.text ?? "");
  } else if (data.delta !== undefined) {
    last.text += data.delta;
  } else {
    last.text = String(data.text ?? "");
  }
}

/** @param {Run} run @param {any} data */
function applyPlan(run, data) {
  const given = Array.isArray(data.entries) ? data.entries : [];
  const entries = given.map((/** @type {any} */ each) => ({
    content: String(each?.content ?? ""),
    status: String(each?.status ?? "pending"),
  }));
  const plan = run.item.parts.find((part) => part.type === "plan");
  if (plan?.type === "plan") plan.entries = entries;
  else run.item.parts.unshift({ type: "plan", entries });
}
