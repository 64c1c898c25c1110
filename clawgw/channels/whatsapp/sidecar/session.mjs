/**
 * The one WhatsApp session: a Baileys socket, and what must not get lost around it.
 *
 * **Receiving.** Baileys tells WhatsApp that a message has arrived, and moves the Signal ratchet on,
 * before it reports the message; a process killed in between has lost it, as it cannot be decrypted
 * twice. So we look in where it is decrypted: inside the transaction that moves the ratchet the
 * message is put into the spool, and only when it is on the disk does the transaction commit and the
 * receipt go out. Killed before that, WhatsApp delivers the message again; killed after it, the spool
 * does. Either way the Gateway recognises a double by the message's key.
 *
 * **Sending.** The Gateway chooses the message id, and WhatsApp shows a second message of the same id
 * to nobody. `send` answers when WhatsApp's server has acknowledged the message, not when it has been
 * written to a socket. Baileys stores how far the ratchet has come only after it has sent a message; a
 * process killed in between would use a key a second time, and the phone could not read what comes
 * with it. So what encrypts runs outside of Baileys' own transaction, and is on the disk before; and
 * what encrypts and decrypts with the same session takes turns.
 *
 * **The connection** is made once. When it ends, the Gateway is told why and decides what to do; only
 * what belongs to linking (WhatsApp wants a second connection after a pairing) happens here. A
 * device that the phone has removed is told apart from a connection that broke, and its login is
 * deleted, because it is of no use to anybody.
 */

import { AsyncResource } from "node:async_hooks";
import makeWASocket, {
  Browsers,
  DEFAULT_CONNECTION_CONFIG,
  DisconnectReason,
  decodeMessageNode,
  isJidBroadcast,
  isJidGroup,
  isJidNewsletter,
  jidNormalizedUser,
  proto,
  unpadRandomMax16,
} from "baileys";
import { openAuth } from "./auth.mjs";
import { describe, phoneNumber } from "./inbound.mjs";
import { errorWords } from "./log.mjs";
import { fetchMedia } from "./media.mjs";
import { contentOf, field, idField, jidField, keyOf } from "./outbound.mjs";
import { Recent } from "./recent.mjs";
import { RpcError } from "./rpc.mjs";
import { openSent } from "./sent.mjs";
import { openSpool } from "./spool.mjs";
import { Window } from "./window.mjs";

const ACK_MS = 45_000;
const LOGIN_MS = 60_000;
const GROUP_MS = 5 * 60_000;
const REMEMBERED = 1000;
const { HistorySyncType } = proto.HistorySync;

/** Run something outside of any transaction: Baileys knows its own by the asynchronous context. */
const outside = AsyncResource.bind((work) => work());

const NO_HISTORY = new Set([HistorySyncType.FULL, HistorySyncType.RECENT, HistorySyncType.ON_DEMAND]);
const RECEIPTS = { 3: "delivered", 4: "read", 5: "played" };
const REASONS = {
  [DisconnectReason.forbidden]: "WhatsApp has blocked this account or device",
  405: "WhatsApp does not accept this version of WhatsApp Web any more; update the sidecar",
  [DisconnectReason.multideviceMismatch]: "the phone's WhatsApp is too old for linked devices",
  [DisconnectReason.connectionReplaced]: "another process has connected with the same login",
};

export class Session {
  /**
   * @param notify (method, params): tells the Gateway
   * @param log a logger as Baileys takes it
   * @param onFatal (reason): we cannot keep our promises any more; end the process
   * @param connect for tests: makes the socket
   */
  constructor({ notify, log, onFatal, connect = makeWASocket }) {
    this._notify = notify;
    this._log = log;
    this._onFatal = onFatal;
    this._connect = connect;
    this._params = null;
    this._auth = null;
    this._spool = null;
    this._window = new Window((seq, message) => notify("message", { seq, ...message }));
    this._sent = null;
    this._socket = null;
    this._open = false;
    this._ending = false;
    this._login = null; // {kind, phoneNumber, answer} while somebody links a phone
    this._stanzas = new WeakMap(); // ciphertext -> the stanza it came in
    this._kept = new Recent(REMEMBERED); // ids of messages that were put into the spool
    this._messages = new Recent(REMEMBERED); // message id -> {key, message}, for quoting
    this._acks = new Map(); // message id -> {resolve, reject}
    this._groups = new Map(); // jid -> {metadata, at}
  }

  // What the Gateway asks; the contract is in README.md.

  async start(params) {
    if (this._auth) throw new RpcError("invalid", "it has been started already");
    const directory = field(params, "authDir", "string");
    this._params = params;
    this._auth = await openAuth(directory);
    this._spool = await openSpool(directory);
    this._sent = await openSent(directory);
    const waiting = this._spool.unconfirmed;
    // After the answer, so that the Gateway knows who we are when it reads them.
    setImmediate(() => waiting.forEach(([seq, message]) => this._window.add(seq, message)));
    if (this._auth.linked) this._begin();
    return { linked: this._auth.linked, self: this._self };
  }

  async login(params) {
    this._started();
    const kind = field(params, "kind", "string");
    if (kind !== "qr" && kind !== "code") throw new RpcError("invalid", '"kind" is neither "qr" nor "code"');
    const phoneNumber = kind === "code" ? digits(field(params, "phoneNumber", "string")) : undefined;
    if (this._auth.linked) throw new RpcError("linked", "a phone is linked already; log out first");
    await this._close();
    this._auth.dropUnfinished();
    const step = await new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new RpcError("failed", "WhatsApp gave no code to link with")),
        LOGIN_MS,
      );
      const settle = (how) => (value) => {
        clearTimeout(timer);
        how(value);
      };
      this._login = { kind, phoneNumber, resolve: settle(resolve), reject: settle(reject) };
      this._begin();
    });
    return step;
  }

  async cancelLogin() {
    this._started();
    if (!this._auth.linked) {
      await this._close();
      this._auth.dropUnfinished();
    }
    return {};
  }

  async logout() {
    this._started();
    const linked = this._auth.linked;
    let told = false;
    if (linked && this._open) {
      this._ending = true;
      await this._socket.logout().then(
        () => (told = true),
        (error) => this._log.warn(error, "WhatsApp could not be told of the logout"),
      );
    }
    await this._close();
    await this._wipe();
    if (linked) this._notify("connection", { state: "loggedOut", reason: "logged out here" });
    return { loggedOut: linked, told };
  }

  async confirm(params) {
    this._started();
    const seqs = field(params, "seqs", "array");
    this._window.confirmed(seqs);
    try {
      await this._spool.confirm(seqs);
    } catch (error) {
      // A line that was half written would take the next message with it.
      this._onFatal(`what was confirmed cannot be stored: ${errorWords(error)}`);
      throw error;
    }
    return {};
  }

  async send(params) {
    const socket = this._connected();
    const to = jidField(params, "to");
    const id = idField(params, "id");
    const content = contentOf(params);
    const quoted = params.quoted ? this._quoted(params.quoted, to) : undefined;
    const ack = this._acknowledged(id);
    ack.catch(() => {}); // awaited below, perhaps too late for Node's taste
    try {
      const sent = await socket.sendMessage(to, content, { messageId: id, ...(quoted ? { quoted } : {}) });
      this._messages.set(id, { key: sent.key, message: sent.message });
      // Before the answer: the phone may ask for it again when we have been killed and started anew.
      await this._sent.add(id, sent.message).catch((error) => this._log.warn(error, "a sent message was not kept"));
    } catch (error) {
      this._acks.delete(id);
      if (error instanceof RpcError) throw error;
      if (error?.code === "ENOENT") throw new RpcError("refused", "the file to be sent is not there any more");
      const lost = [DisconnectReason.connectionClosed, DisconnectReason.connectionLost].includes(statusOf(error));
      throw new RpcError(lost ? "unknown" : "failed", `not sent: ${errorWords(error)}`, { statusCode: statusOf(error) });
    }
    return ack;
  }

  async react(params) {
    const socket = this._connected();
    const to = jidField(params, "to");
    const id = idField(params, "id");
    const key = keyOf(field(params, "target", "object"), to);
    const ack = this._acknowledged(id);
    ack.catch(() => {});
    await socket.sendMessage(to, { react: { text: params.emoji ?? "", key } }, { messageId: id });
    return ack;
  }

  async read(params) {
    const socket = this._connected();
    await socket.readMessages(field(params, "keys", "array").map((key) => keyOf(key, jidField(key, "chat"))));
    return {};
  }

  async presence(params) {
    const socket = this._connected();
    const state = field(params, "state", "string");
    await socket.sendPresenceUpdate(state, params.to ? jidField(params, "to") : undefined);
    return {};
  }

  async resolve(params) {
    const socket = this._connected();
    const found = (await socket.onWhatsApp(`+${digits(field(params, "phone", "string"))}`)) ?? [];
    const hit = found.find((each) => each.exists);
    return { jid: hit ? jidNormalizedUser(hit.jid) : null };
  }

  async group(params) {
    this._connected();
    const metadata = await this._groupMetadata(jidField(params, "jid"));
    return { jid: metadata.id, subject: metadata.subject ?? "", size: metadata.participants?.length ?? 0 };
  }

  async fetchMedia(params) {
    const { hosts } = await this._connected().refreshMediaConn(false);
    const host = hosts[0]?.hostname;
    if (!host) throw new RpcError("failed", "WhatsApp does not say where it keeps files");
    return fetchMedia(params, host);
  }

  async status() {
    return {
      linked: this._auth?.linked ?? false,
      open: this._open,
      self: this._self,
      unconfirmed: this._spool?.unconfirmed.length ?? 0,
    };
  }

  /** End cleanly: what was received and stored stays, the connection goes. */
  async stop() {
    await this._close();
    await this._auth?.settled();
    await this._spool?.close();
  }

  // The connection

  get _self() {
    const me = this._auth?.linked ? this._auth.creds.me : null;
    if (!me) return null;
    const jid = jidNormalizedUser(me.id);
    return {
      jid,
      lid: me.lid ? jidNormalizedUser(me.lid) : null,
      phone: phoneNumber(jid) ?? null,
      name: me.name && me.name !== "~" ? me.name : null,
    };
  }

  _begin() {
    const { socketUrl, version, markOnline } = this._params;
    this._ending = false;
    this._notify("connection", { state: "connecting" });
    const socket = this._connect({
      ...(socketUrl ? { waWebSocketUrl: socketUrl } : {}),
      ...(version ? { version } : {}),
      auth: this._auth.state,
      logger: this._log,
      browser: Browsers.ubuntu("Chrome"),
      emitOwnEvents: false,
      markOnlineOnConnect: markOnline ?? true,
      syncFullHistory: false,
      shouldSyncHistoryMessage: ({ syncType }) => !NO_HISTORY.has(syncType),
      shouldIgnoreJid: (jid) => isJidBroadcast(jid) || isJidNewsletter(jid),
      getMessage: async ({ id }) => this._sent.get(id),
      cachedGroupMetadata: async (jid) => this._cachedGroup(jid),
      makeSignalRepository: (...args) => this._repository(...args),
    });
    this._socket = socket;
    endOnTrouble(socket);
    const mine = (handler) => (value) => {
      if (this._socket === socket) handler(value);
    };
    // First of all, so that the stanza is known when Baileys decrypts it.
    socket.ws.prependListener("CB:message", (stanza) => this._noteStanza(stanza));
    socket.ws.on("CB:ack,class:message", mine((node) => this._acked(node.attrs)));
    // Also when the socket is on its way out; but not when the login it had has been given up.
    const { creds } = this._auth;
    socket.ev.on("creds.update", () => this._auth.creds === creds && this._saveCreds());
    socket.ev.on("connection.update", mine((update) => void this._changed(socket, update)));
    socket.ev.on("messages.upsert", mine((upsert) => void this._upserted(upsert)));
    socket.ev.on("messages.update", mine((updates) => this._updated(updates)));
    socket.ev.on("message-receipt.update", mine((updates) => this._groupReceipts(updates)));
    for (const event of ["groups.update", "group-participants.update"])
      socket.ev.on(event, mine((changes) => this._groupsChanged(changes)));
  }

  async _changed(socket, update) {
    try {
      if (update.qr) await this._qr(socket, update.qr);
      if (update.connection === "open") await this._opened();
      if (update.connection === "close") await this._closed(update.lastDisconnect?.error);
    } catch (error) {
      this._log.error(error, "while the connection changed");
      this._login?.reject(error);
    }
  }

  async _qr(socket, qr) {
    const login = this._login;
    if (!login) return;
    if (login.kind === "qr") {
      this._notify("qr", { qr });
      login.resolve({ qr });
    } else if (!login.asked) {
      login.asked = true;
      const code = await socket.requestPairingCode(login.phoneNumber);
      login.resolve({ code: `${code.slice(0, 4)}-${code.slice(4)}` });
    }
  }

  async _opened() {
    await this._auth.saveCreds();
    this._login = null;
    this._open = true;
    this._notify("connection", { state: "open", self: this._self });
  }

  async _closed(error) {
    const statusCode = statusOf(error);
    const linked = this._auth.linked;
    this._drop();
    if (this._ending) return;
    if (statusCode === DisconnectReason.restartRequired) {
      await this._auth.saveCreds();
      return this._begin();
    }
    const reason = REASONS[statusCode] ?? errorWords(error);
    if (statusCode === DisconnectReason.loggedOut && linked) {
      await this._wipe();
      this._notify("connection", { state: "loggedOut", statusCode, reason: "the phone has removed this device" });
    } else {
      this._notify("connection", { state: "closed", statusCode, reason });
    }
    this._login?.reject(new RpcError("failed", reason, { statusCode }));
    this._login = null;
  }

  /** End the connection without a word to the Gateway. */
  async _close() {
    this._ending = true;
    this._login?.reject(new RpcError("failed", "the login was given up"));
    this._login = null;
    const socket = this._socket;
    this._drop();
    if (socket) await Promise.race([socket.end(undefined), later(2000)]);
  }

  _drop() {
    this._socket = null;
    this._open = false;
    this._groups.clear();
    for (const { reject } of this._acks.values())
      reject(new RpcError("unknown", "the connection ended before WhatsApp acknowledged the message"));
    this._acks.clear();
  }

  async _wipe() {
    await this._auth.wipe();
    await this._sent.clear();
  }

  _saveCreds() {
    this._auth.saveCreds().catch((error) => this._onFatal(`the login cannot be stored: ${errorWords(error)}`));
  }

  _started() {
    if (!this._auth) throw new RpcError("invalid", "it has not been started");
  }

  _connected() {
    this._started();
    if (!this._auth.linked) throw new RpcError("notLinked", "no phone is linked");
    if (!this._open) throw new RpcError("notConnected", "there is no connection to WhatsApp");
    return this._socket;
  }

  // Receiving

  _noteStanza(stanza) {
    if (!Array.isArray(stanza.content)) return;
    for (const { content } of stanza.content) {
      if (content instanceof Uint8Array) this._stanzas.set(content, stanza);
    }
  }

  _repository(auth, logger, pnToLid) {
    const repository = DEFAULT_CONNECTION_CONFIG.makeSignalRepository(auth, logger, pnToLid);
    const { decryptMessage, decryptGroupMessage, encryptMessage, injectE2ESession, migrateSession } = repository;
    for (const [name, method] of Object.entries(repository)) {
      if (typeof method === "function")
        repository[name] = (...what) => outside(() => method.apply(repository, what));
    }
    // Here a transaction inside a transaction is wanted: ours is the one that commits.
    const committed = (key, work) => outside(() => auth.keys.transaction(work, key));
    const alone = (jid, work) => outside(async () => committed(await sessionKey(jid, repository), work));
    const keeping = async (ciphertext, decrypt) => {
      const plaintext = await decrypt();
      await this._keep(ciphertext, plaintext, repository);
      return plaintext;
    };
    repository.decryptMessage = (what) =>
      alone(what.jid, () => keeping(what.ciphertext, () => decryptMessage.call(repository, what)));
    repository.decryptGroupMessage = (what) =>
      committed(what.group, () => keeping(what.msg, () => decryptGroupMessage.call(repository, what)));
    repository.encryptMessage = (what) => alone(what.jid, () => encryptMessage.call(repository, what));
    repository.injectE2ESession = (what) => alone(what.jid, () => injectE2ESession.call(repository, what));
    repository.migrateSession = (from, to) => alone(to, () => migrateSession.call(repository, from, to));
    return repository;
  }

  async _keep(ciphertext, plaintext, repository) {
    const stanza = this._stanzas.get(ciphertext);
    if (!stanza || stanza.attrs.category === "peer") return;
    const { me } = this._auth.creds;
    const { fullMessage } = decodeMessageNode(stanza, me.id, me.lid ?? "");
    let content = null;
    try {
      content = proto.Message.decode(unpadRandomMax16(plaintext));
      content = content.deviceSentMessage?.message ?? content;
    } catch (error) {
      this._log.warn(error, "a message that cannot be read");
    }
    await this._deliver(fullMessage, content, Boolean(stanza.attrs.offline), repository);
  }

  /** Spool a message, then tell the Gateway. Failing to is the end: it must not be acknowledged. */
  async _deliver({ key, messageTimestamp, pushName }, content, offline, repository) {
    try {
      const meta = { timestamp: Number(messageTimestamp), pushName, offline };
      const message = await describe(key, content, meta, this._auth.creds.me, (lid) =>
        repository.lidMapping.getPNForLID(lid).then((pn) => pn && jidNormalizedUser(pn)),
      );
      if (!message) return;
      this._kept.set(key.id, true);
      this._messages.set(key.id, { key, message: content });
      this._window.add(await this._spool.append(message), message);
    } catch (error) {
      this._onFatal(`a received message cannot be stored: ${errorWords(error)}`);
      throw error;
    }
  }

  /** What reaches us on other ways than a stanza of its own: the phone sent it after all. */
  async _upserted({ messages, type }) {
    if (type !== "notify") return;
    const { signalRepository } = this._socket; // which may be gone when the first of them is stored
    for (const message of messages) {
      if (!message.message || this._kept.has(message.key.id) || this._ignored(message.key.remoteJid)) continue;
      await this._deliver(message, message.message, false, signalRepository).catch(() => {});
    }
  }

  _ignored(jid) {
    return isJidBroadcast(jid) || isJidNewsletter(jid);
  }

  _updated(updates) {
    for (const { key, update } of updates) {
      const state = RECEIPTS[update.status];
      if (state && key.fromMe) this._notify("receipt", { id: key.id, chat: key.remoteJid, state });
    }
  }

  _groupReceipts(updates) {
    for (const { key, receipt } of updates) {
      if (!key.fromMe) continue;
      const state = receipt.readTimestamp ? "read" : "delivered";
      this._notify("receipt", { id: key.id, chat: key.remoteJid, participant: receipt.userJid, state });
    }
  }

  // Sending

  _acknowledged(id) {
    this._acks.get(id)?.reject(new RpcError("unknown", "the message was sent again"));
    return new Promise((resolve, reject) => {
      const mine = { resolve: settle(resolve), reject: settle(reject) };
      const timer = setTimeout(
        () => mine.reject(new RpcError("unknown", `WhatsApp did not acknowledge the message within ${ACK_MS / 1000} s`)),
        ACK_MS,
      );
      const acks = this._acks;
      function settle(how) {
        return (value) => {
          clearTimeout(timer);
          if (acks.get(id) === mine) acks.delete(id);
          how(value);
        };
      }
      acks.set(id, mine);
    });
  }

  _acked({ id, error, t }) {
    const waiting = this._acks.get(id);
    if (!waiting) return;
    if (!error) return waiting.resolve({ id, timestamp: Number(t) || Math.floor(Date.now() / 1000) });
    const statusCode = Number(error) || undefined;
    const words =
      statusCode === 463
        ? "WhatsApp does not let this account write to that person first"
        : `WhatsApp refused the message (${error})`;
    const passing = statusCode >= 500 || statusCode === 429;
    waiting.reject(new RpcError(passing ? "failed" : "refused", words, { statusCode }));
  }

  _quoted(quoted, chat) {
    const known = this._messages.get(quoted.id);
    if (known?.message && isIn(known.key, quoted, chat)) return known;
    return { key: keyOf(quoted, chat), message: { conversation: quoted.text ?? "" } };
  }

  // Groups

  _cachedGroup(jid) {
    const cached = this._groups.get(jid);
    return cached && Date.now() - cached.at < GROUP_MS ? cached.metadata : undefined;
  }

  async _groupMetadata(jid) {
    const cached = this._cachedGroup(jid);
    if (cached) return cached;
    const metadata = await this._socket.groupMetadata(jid);
    this._groups.set(jid, { metadata, at: Date.now() });
    return metadata;
  }

  _groupsChanged(changes) {
    for (const change of Array.isArray(changes) ? changes : [changes]) this._groups.delete(change.id);
  }
}

/** Ids are their writers' choice: the same one in another chat, or of somebody else, is not meant. */
function isIn(key, { participant }, chat) {
  if (!isJidGroup(chat)) return !isJidGroup(key.remoteJid);
  const writer = key.participant ? jidNormalizedUser(key.participant) : undefined;
  return key.remoteJid === chat && (key.fromMe || writer === participant);
}

/**
 * What one transaction at a time is for. Baileys takes the address as it was given, but what is read
 * from somebody's LID and what is written to their number is done with the same session: side by
 * side, one of both would store a ratchet as it was before the other, and use a key twice.
 */
async function sessionKey(jid, repository) {
  const lid = jid.endsWith("@s.whatsapp.net") && (await repository.lidMapping.getLIDForPN(jid).catch(() => null));
  return `session ${jidNormalizedUser(lid || jid)}`;
}

function digits(phone) {
  const bare = phone.replace(/[\s().-]/g, "").replace(/^(\+|00)/, "");
  if (!/^[1-9]\d{5,14}$/.test(bare))
    throw new RpcError("invalid", "a phone number is written with its country code, such as +49 151 23456789");
  return bare;
}

/** What Baileys does not notice: a connection that is refused by HTTP, and a frame that is none. */
function endOnTrouble(socket) {
  socket.ws.on("unexpected-response", (_, response) => {
    response.resume();
    void socket.end(new Error(`the connection was refused with HTTP status ${response.statusCode}`));
  });
  const listeners = socket.ws.listeners("message");
  socket.ws.removeAllListeners("message");
  socket.ws.on("message", (data) => {
    for (const listener of listeners) Promise.resolve(listener(data)).catch((error) => socket.end(error));
  });
}

function statusOf(error) {
  return error?.output?.statusCode;
}

function later(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds).unref());
}
