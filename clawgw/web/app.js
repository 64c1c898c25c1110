/**
 * WebChat: puts the parts together.
 *
 * This file decides nothing about the wire or the looks; it carries events from the Gateway to the
 * conversation on the screen, and what the person does to the Gateway.
 */

import { sessionInAddress, setSessionInAddress, takeToken } from "./address.js";
import { Approvals } from "./approvals.js";
import { Channels } from "./channels.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { Credentials } from "./credentials.js";
import { el, icon } from "./dom.js";
import { Gate } from "./gate.js";
import { Gateway } from "./gateway.js";
import { contentText, textOf } from "./history.js";
import { IdentityUnavailable, loadIdentity } from "./identity.js";
import { Outbox } from "./outbox.js";
import { SessionMenu } from "./session-menu.js";
import { newSessionKey, SessionList, sessionTitle } from "./sessions.js";
import { BrowserStorage } from "./storage.js";
import { installTheme } from "./theme.js";
import { Transcript } from "./transcript.js";

const HISTORY_PAGE = 200;
const LIST_DELAY_MS = 250;
const DOUBT_MS = 1000;
const SPOKEN_LENGTH = 1000;

/** @param {string} id @returns {any} */
function byId(id) {
  return document.getElementById(id);
}

/** The page. */
class WebChat {
  /** @param {BrowserStorage} storage @param {Credentials} credentials */
  constructor(storage, credentials) {
    this.storage = storage;
    this.credentials = credentials;
    this.gate = new Gate(byId("gate"), { onSecret: (kind, value) => this.giveSecret(kind, value) });
    this.transcript = new Transcript(
      { scroller: byId("scroller"), list: byId("transcript"), jump: byId("jump"),
        announcer: byId("announcer") },
      {
        onLoadOlder: () => this.loadOlder(),
        onResend: (item) => this.resend(item),
        onRetry: (id) => this.retry(id),
        onDiscard: (id) => this.discard(id),
        onSuggestion: (text) => this.send(text),
      });
    this.composer = new Composer(
      { form: byId("composer"), input: byId("input"), send: byId("send"), stop: byId("stop") },
      storage, { onSend: (text) => this.send(text), onStop: () => this.stop() });
    this.sessions = new SessionList(byId("sessions"), {
      onSelect: (key) => this.openSession(key, true),
      onMore: () => this.listSessions(),
    });
    this.menu = new SessionMenu(byId("session-menu-button"), byId("session-menu"), {
      ask: (method, params) => this.ask(method, params),
      current: () => this.currentSession(),
      onRenamed: () => this.listSessions(),
      onReset: (key) => this.sessionWasReset(key),
      onDeleted: (key) => this.sessionWasDeleted(key),
    });
    this.outbox = new Outbox(storage, (method, params) => this.ask(method, params),
      (entry, outcome) => this.delivered(entry, outcome));
    this.approvals = new Approvals(byId("approvals"),
      (id, decision) => this.ask("exec.approval.resolve", { id, decision }),
      async (nodeId) => (await this.askLeniently("node.describe", { nodeId }))?.displayName);
    this.channels = new Channels(byId("channels-button"), byId("channels"), {
      ask: (method, params, timeoutMs) => this.ask(method, params, timeoutMs),
      announce: (text) => this.transcript.announce(text),
      onLabels: (labels) => this.sessions.setChannels(labels),
    });
    /** @type {any[]} */
    this.agents = [];
    this.defaults = { agentId: "main", sessionKey: "agent:main:main" };
    /** @type {Conversation|null} */
    this.conversation = null;
    this.refreshing = false;
    this.refreshAgain = false;
    /** @type {number|undefined} */
    this.listing = undefined;
    this.decorate();
  }

  /** @param {import("./identity.js").DeviceIdentity} identity */
  start(identity) {
    const url = new URL("/", window.location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.hash = "";
    this.gateway = new Gateway({
      url: url.href,
      identity,
      credentials: this.credentials,
      onState: (state) => this.lineChanged(state),
      onEvent: (event, payload) => this.receive(event, payload),
      onGap: () => this.refresh(),
    });
    this.gateway.start();
  }

  /** @param {string} method @param {object} [params] @param {number} [timeoutMs] */
  ask(method, params, timeoutMs) {
    if (!this.gateway) return Promise.reject(new Error("The page is not connected yet."));
    return this.gateway.request(method, params, timeoutMs);
  }

  /** Ask for something the page can do without. @param {string} method @param {object} [params] */
  async askLeniently(method, params) {
    try {
      return await this.ask(method, params);
    } catch {
      return null; // an older Gateway, a missing scope, or a lost line: the page shows less
    }
  }

  // The line to the Gateway ------------------------------------------------------------------

  /** @param {import("./gateway.js").LineState} state */
  lineChanged(state) {
    if (state.name === "online") this.welcomed(state.hello);
    else if (state.name === "connecting") this.connecting(state.first);
    else if (state.name === "refused") this.refused(state.verdict);
    else this.disconnected(state);
  }

  /** @param {boolean} first */
  connecting(first) {
    if (first) this.gate.connecting();
    this.showStatus("waiting", "Connecting…");
  }

  /** @param {{reason: string, restarting: boolean}} state */
  disconnected({ reason, restarting }) {
    if (!this.conversation) this.gate.unreachable(reason);
    this.showStatus("waiting", restarting ? "Gateway is restarting" : "Reconnecting…");
  }

  /** @param {import("./credentials.js").Verdict} verdict */
  refused(verdict) {
    this.channels.close(); // it would lie in front of the question
    this.gate.refused(verdict);
  }

  /** @param {"token"|"password"} kind @param {string} value */
  giveSecret(kind, value) {
    this.credentials.give(kind, value);
    this.gateway?.connect();
  }

  /** @param {any} hello */
  async welcomed(hello) {
    this.gate.open();
    this.showStatus("online", "");
    const defaults = hello.snapshot?.sessionDefaults ?? {};
    const agentId = defaults.defaultAgentId ?? this.defaults.agentId;
    this.defaults = { agentId, sessionKey: defaults.mainSessionKey ?? `agent:${agentId}:main` };
    this.showServer(hello.server?.version, true);
    this.applyScopes();
    this.conversation?.nextEpoch();
    if (this.conversation) await this.refresh();
    else this.openSession(this.firstSession(), false);
    this.outbox.flush();
    this.listSessions();
    this.loadAgents();
    this.loadHealth(hello.server?.version);
    this.loadApprovals();
    this.channels.welcomed();
  }

  applyScopes() {
    const may = (/** @type {string} */ scope) => this.gateway?.may(scope) ?? false;
    this.composer.setAllowed(may("operator.write"));
    byId("new-session").disabled = !may("operator.write");
    this.menu.setScopes(may);
    this.channels.setScopes(may);
  }

  /** @param {"online"|"waiting"} state @param {string} text */
  showStatus(state, text) {
    const node = byId("status");
    node.dataset.state = state;
    node.textContent = text;
    node.title = text || "Connected";
  }

  /** @param {string|undefined} version @param {boolean} healthy */
  showServer(version, healthy) {
    byId("server").textContent = `Gateway ${version ?? ""}${healthy ? "" : " · not healthy"}`;
  }

  /** @param {string|undefined} version */
  async loadHealth(version) {
    const health = await this.askLeniently("health");
    if (!health) return;
    this.showServer(version, health.ok !== false);
    this.channels.showHealth(health);
  }

  async loadApprovals() {
    this.approvals.clear();
    if (!this.gateway?.may("operator.approvals")) return;
    const result = await this.askLeniently("exec.approval.list");
    for (const question of Array.isArray(result) ? result : []) this.approvals.ask(question);
  }

  // Events -----------------------------------------------------------------------------------

  /** @param {string} event @param {any} payload */
  receive(event, payload) {
    switch (event) {
      case "chat":
      case "agent":
        this.receiveRun(event, payload);
        break;
      case "sessions.changed":
        this.sessionChanged(payload);
        break;
      case "shutdown":
        this.showStatus("waiting", "Gateway is restarting");
        break;
      case "tick":
        this.outbox.flush();
        break;
      case "health":
        this.channels.showHealth(payload);
        break;
      case "channel.pair.requested":
        this.channels.asked(payload);
        break;
      case "channel.pair.resolved":
        this.channels.resolved(payload);
        break;
      case "exec.approval.requested":
        this.approvals.ask(payload);
        break;
      case "exec.approval.resolved":
        this.approvals.decided(payload);
        break;
      default: // not for this page
    }
  }

  /** @param {"chat"|"agent"} event @param {any} payload */
  receiveRun(event, payload) {
    const { conversation } = this;
    const here = conversation && this.fullKey(payload.sessionKey ?? "") === conversation.sessionKey;
    if (!here) {
      if (event === "chat" && payload.state !== "delta") this.touched(payload);
      return;
    }
    const change = event === "chat"
      ? conversation.applyChat(payload) : conversation.applyAgent(payload);
    this.redraw();
    if (change.started) this.refresh();
    if (change.ended) this.runEnded(payload);
  }

  /** @param {any} payload */
  sessionChanged(payload) {
    const here = payload.sessionKey === this.conversation?.sessionKey;
    if (here && ["reset", "delete", "compact"].includes(payload.reason)) this.refresh();
    this.listSessions();
  }

  /** Something happened in another session. @param {any} payload */
  touched(payload) {
    const key = this.fullKey(payload.sessionKey ?? "");
    if (payload.state === "final") this.sessions.touch(key);
    this.listSessions();
  }

  /** Say the answer, and read it as it is stored. @param {any} payload */
  runEnded(payload) {
    const text = contentText(payload.message?.content) || payload.errorMessage || "";
    this.transcript.announce(`${this.agentName()}: ${text.slice(0, SPOKEN_LENGTH)}`);
    this.refresh();
    this.listSessions();
  }

  // The conversation on the screen -----------------------------------------------------------

  /** @returns {string} */
  firstSession() {
    const wanted = sessionInAddress() ?? this.storage.read("session");
    return wanted ? this.fullKey(wanted) : this.defaults.sessionKey;
  }

  /** @param {string} key perhaps short, as "main" @returns {string} */
  fullKey(key) {
    if (key.startsWith("agent:") || key === "global" || key === "unknown") return key;
    return key === "main" ? this.defaults.sessionKey : `agent:${this.defaults.agentId}:${key}`;
  }

  /** @param {string} key @param {boolean} chosen by the person just now */
  openSession(key, chosen) {
    this.closeDrawer();
    if (this.conversation?.sessionKey === key) return;
    this.conversation = new Conversation(key);
    for (const entry of this.outbox.of(key)) this.showEntry(entry);
    setSessionInAddress(key, chosen);
    this.storage.write("session", key);
    this.composer.open(key);
    this.sessions.setCurrent(key);
    this.showAgent();
    this.redraw();
    this.refresh();
    if (chosen) this.composer.focus();
  }

  /** @param {import("./outbox.js").Entry} entry */
  showEntry(entry) {
    this.conversation?.write(entry);
    if (entry.error) this.conversation?.rejected(entry.id, entry.error);
  }

  redraw() {
    const { conversation } = this;
    if (!conversation) return;
    this.transcript.show(conversation);
    this.composer.setRunning(conversation.activeRunId !== null);
    const key = conversation.sessionKey;
    const title = sessionTitle(this.sessions.find(key), key);
    byId("title").textContent = title;
    document.title = `${title} · clawgw`;
  }

  /** Read the newest page of history again; calls that come meanwhile become one more reading. */
  async refresh() {
    if (this.refreshing) {
      this.refreshAgain = true;
      return;
    }
    this.refreshing = true;
    try {
      do {
        this.refreshAgain = false;
        await this.readHistory();
      } while (this.refreshAgain);
    } finally {
      this.refreshing = false;
    }
  }

  async readHistory() {
    const { conversation } = this;
    if (!conversation || !this.gateway?.online) return;
    const mark = conversation.mark();
    const history = await this.askLeniently("chat.history",
      { sessionKey: conversation.sessionKey, limit: HISTORY_PAGE });
    if (!history || conversation !== this.conversation) {
      this.refreshAgain ||= conversation !== this.conversation;
      return;
    }
    const doubt = conversation.applyHistory(history, mark);
    this.redraw();
    clearTimeout(this.doubting);
    if (doubt) this.doubting = setTimeout(() => this.refresh(), DOUBT_MS);
  }

  async loadOlder() {
    const { conversation } = this;
    if (!conversation) return;
    const older = await this.askLeniently("chat.history", { sessionKey: conversation.sessionKey,
      limit: HISTORY_PAGE, offset: conversation.messages.length });
    if (!older || conversation !== this.conversation) return;
    conversation.prependHistory(older);
    this.redraw();
  }

  // What the person does ---------------------------------------------------------------------

  /** @param {string} text */
  send(text) {
    const { conversation } = this;
    if (!conversation) return;
    conversation.write(this.outbox.add(conversation.sessionKey, text));
    this.transcript.toEnd();
    this.redraw();
    this.outbox.flush();
  }

  /**
   * @param {import("./outbox.js").Entry} entry
   * @param {{kind: "accepted"}|{kind: "rejected", error: string}} outcome
   */
  delivered(entry, outcome) {
    if (entry.sessionKey !== this.conversation?.sessionKey) return;
    if (outcome.kind === "accepted") this.conversation.accepted(entry.id);
    else this.conversation.rejected(entry.id, outcome.error);
    this.redraw();
  }

  /** Ask the question of a failed answer again. @param {import("./history.js").Item} item */
  resend(item) {
    const items = this.conversation?.items() ?? [];
    const at = items.findIndex((each) => each.key === item.key);
    const question = items.find((each) => each.key === `user:${item.runId}`)
      ?? items.slice(0, at).findLast((each) => each.role === "user");
    if (question) this.send(textOf(question.parts, "\n"));
  }

  /** @param {string} id */
  retry(id) {
    this.outbox.retry(id);
    this.conversation?.setWritten(id, "unsent");
    this.redraw();
    this.outbox.flush();
  }

  /** @param {string} id */
  discard(id) {
    this.outbox.discard(id);
    this.conversation?.discard(id);
    this.redraw();
  }

  async stop() {
    const { conversation } = this;
    const runId = conversation?.activeRunId;
    if (!conversation || !runId) return;
    await this.askLeniently("chat.abort", { sessionKey: conversation.sessionKey, runId });
  }

  // Sessions ---------------------------------------------------------------------------------

  /** The list, a moment later: changes come in crowds. */
  listSessions() {
    this.listing ??= setTimeout(async () => {
      this.listing = undefined;
      const result = await this.askLeniently("sessions.list",
        { limit: this.sessions.limit, includeDerivedTitles: true, includeLastMessage: true });
      if (!result) return;
      this.sessions.setRows(result.sessions ?? [], result.hasMore === true);
      this.redraw();
    }, LIST_DELAY_MS);
  }

  newSession() {
    const chosen = byId("agent");
    const agentId = chosen.hidden ? this.defaults.agentId : chosen.value;
    this.openSession(newSessionKey(agentId), true);
  }

  /** @returns {import("./session-menu.js").Current|null} */
  currentSession() {
    const key = this.conversation?.sessionKey;
    if (!key) return null;
    const row = this.sessions.find(key);
    return { key, title: sessionTitle(row, key),
      isMain: row?.isMain === true || key === this.defaults.sessionKey };
  }

  /** @param {string} key */
  sessionWasReset(key) {
    if (this.conversation?.sessionKey === key) this.conversation.clear();
    this.redraw();
    this.refresh();
    this.listSessions();
  }

  /** @param {string} key */
  sessionWasDeleted(key) {
    this.sessions.remove(key);
    this.openSession(this.defaults.sessionKey, true);
    this.listSessions();
  }

  // Agents -----------------------------------------------------------------------------------

  async loadAgents() {
    const result = await this.askLeniently("agents.list");
    this.agents = result?.agents ?? [];
    const select = byId("agent");
    select.replaceChildren(...this.agents.map((agent) =>
      el("option", { text: agent.name ?? agent.id, attrs: { value: agent.id } })));
    select.value = result?.defaultId ?? this.defaults.agentId;
    select.hidden = this.agents.length < 2;
    await this.showAgent();
  }

  async showAgent() {
    const agentId = this.agentId();
    const known = this.agents.find((agent) => agent.id === agentId);
    const identity = await this.askLeniently("agent.identity.get", { agentId });
    if (agentId !== this.agentId()) return;
    const name = identity?.name || known?.identity?.name || known?.name || "Assistant";
    const drawn = identity?.emoji || identity?.avatar || known?.identity?.emoji || "";
    const avatar = drawn && [...drawn].length <= 2 ? drawn : [...name][0].toUpperCase();
    this.transcript.setAgent({ name, avatar });
    if (this.gateway?.may("operator.write")) this.composer.setAgentName(name);
    this.redraw();
  }

  /** @returns {string} */
  agentId() {
    return this.conversation?.sessionKey.split(":")[1] ?? this.defaults.agentId;
  }

  /** @returns {string} */
  agentName() {
    return this.transcript.agent.name;
  }

  // The frame --------------------------------------------------------------------------------

  decorate() {
    installTheme(byId("theme"), this.storage);
    byId("new-session").append(icon("plus"), "New chat");
    byId("new-session").addEventListener("click", () => this.newSession());
    byId("send").append(icon("arrowUp"));
    byId("stop").append(icon("stop"));
    byId("jump").prepend(icon("arrowDown"));
    byId("open-drawer").append(icon("menu"));
    byId("close-drawer").append(icon("cross"));
    byId("open-drawer").addEventListener("click", () => this.openDrawer());
    byId("close-drawer").addEventListener("click", () => this.closeDrawer());
    byId("backdrop").addEventListener("click", () => this.closeDrawer());
    byId("sidebar").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Escape") this.closeDrawer();
    });
    window.addEventListener("hashchange", () => this.addressChanged());
  }

  addressChanged() {
    const token = takeToken();
    if (token) this.giveSecret("token", token);
    const key = sessionInAddress();
    if (key && this.conversation) this.openSession(this.fullKey(key), false);
  }

  openDrawer() {
    document.body.dataset.drawer = "open";
    byId("close-drawer").focus();
  }

  closeDrawer() {
    if (!document.body.dataset.drawer) return;
    delete document.body.dataset.drawer;
    byId("open-drawer").focus();
  }
}

/** Build the page and connect. */
async function main() {
  const storage = new BrowserStorage();
  const credentials = new Credentials(storage);
  const token = takeToken();
  if (token) credentials.give("token", token);
  const page = new WebChat(storage, credentials);
  page.gate.connecting();
  try {
    page.start(await loadIdentity());
  } catch (error) {
    if (!(error instanceof IdentityUnavailable)) throw error;
    page.gate.noIdentity(error.reason);
  }
}

main();
