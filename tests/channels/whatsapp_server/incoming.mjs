// What the client is to hear: messages of contacts, of groups, and of the account's own phone. Each
// is encrypted once and kept in the queue of the linked device until that has acknowledged it, with
// a receipt or an ack. What is in the queue when the client connects is sent again, as it was
// encrypted the first time and marked `offline`. A client that cannot read a message asks for it
// with a retry receipt, and whoever wrote it encrypts it anew.
import { deflateSync } from "node:zlib";
import { randomBytes } from "node:crypto";
import { proto } from "baileys";
import { bytesOf, child, children, node, now, numberOf, parseJid } from "./nodes.mjs";

const { Type } = proto.Message.ProtocolMessage;
const { HistorySyncType } = proto.HistorySync;
const ID_BYTES = 8;
const MEDIA_PARTS = [
  "imageMessage",
  "videoMessage",
  "audioMessage",
  "documentMessage",
  "stickerMessage",
];

/** An id as WhatsApp's phones make them. */
const newId = () => `3EB0${randomBytes(ID_BYTES).toString("hex").toUpperCase()}`;

export class Incoming {
  #server;
  #written = new Map(); // what was sent, by id, for those who ask again

  constructor(server) {
    this.#server = server;
  }

  /**
   * Somebody writes. `from` is a number, the account's own for its phone (then `to` says to whom);
   * `group` says where if not in private; `message` is any `proto.Message` as JSON, `media` is
   * described in media.mjs, `text` the simple case. With the `id` of an earlier message it is that
   * message again, newly encrypted.
   */
  async write({
    from,
    to,
    group,
    text,
    message,
    media,
    id = newId(),
    addressing = "lid",
    t = now(),
    name,
  }) {
    const { people } = this.#server;
    const writer = people.contact(from, name);
    const content = await this.#content({ text, message, media });
    const target = {
      writer,
      group: group && people.group(group),
      recipient: to && people.contact(to),
      addressing,
    };
    const own = writer === people.account;
    if (own ? !to && !group : to)
      throw new Error("`to` goes with the account's own number as `from`");
    for (const companion of people.account.companions)
      await this.#address(companion, target, { id, t, content });
    return { id, devices: people.account.companions.length };
  }

  async #content({ text, message, media }) {
    if (media) return this.#server.media.seal(media);
    if (message) return proto.Message.fromObject(message);
    if (typeof text !== "string") throw new Error("a message has `text`, `message` or `media`");
    return proto.Message.fromObject({ conversation: text });
  }

  async #address(companion, target, { id, t, content }) {
    const { writer, group, recipient, addressing } = target;
    const names = group?.addressing ?? addressing;
    const attrs = {
      id,
      t: String(t),
      type: typeOf(content),
      notify: writer.name,
      ...sender(target, names),
    };
    const written = {
      companion,
      writer,
      group,
      attrs,
      content: wrapped(content, recipient, names),
    };
    this.#written.set(id, written);
    const enc = group ? await this.#forGroup(written) : [await this.#enc(written, written.content)];
    this.#enqueue(companion, node("message", attrs, enc));
  }

  async #enc({ companion, writer }, content, more = {}) {
    const { phone } = writer;
    if (!phone.hasSession(companion.address))
      await phone.begin(companion.address, companion.bundle());
    const { type, body } = await phone.encrypt(companion.address, content);
    return node("enc", { v: "2", type, ...more }, body);
  }

  async #forGroup(written) {
    const { companion, writer, group, content } = written;
    const enc = [];
    const told = group.keyed.get(writer.number) ?? new Set();
    if (!told.has(companion)) {
      enc.push(await this.#enc(written, await this.#keyFor(written)));
      group.keyed.set(writer.number, told.add(companion));
    }
    enc.push(
      node("enc", { v: "2", type: "skmsg" }, await writer.phone.encryptForGroup(group.id, content)),
    );
    return enc;
  }

  async #keyFor({ writer, group }) {
    const axolotlSenderKeyDistributionMessage = await writer.phone.senderKey(group.id);
    return proto.Message.fromObject({
      senderKeyDistributionMessage: { groupId: group.id, axolotlSenderKeyDistributionMessage },
    });
  }

  #enqueue(companion, stanza) {
    companion.queue = companion.queue.filter((one) => one.stanza.attrs.id !== stanza.attrs.id);
    companion.queue.push({ stanza, asksAgain: false });
    companion.connection?.send(this.#server.faults.take("spoilMessage") ? spoiled(stanza) : stanza);
  }

  /** The same stanza once more, as a server does that has forgotten that it was received. */
  repeat(id) {
    const { companion } = this.#find(id);
    const stanza =
      companion.queue.find((one) => one.stanza.attrs.id === id)?.stanza ?? this.#find(id).sent;
    if (!stanza) throw new Error(`${id} has not been sent`);
    companion.connection?.send(stanza);
    return {};
  }

  #find(id) {
    const written = this.#written.get(id);
    if (!written) throw new Error(`nobody has written ${JSON.stringify(id)}`);
    return written;
  }

  /** The client is there and wants what it missed. */
  async catchUp(connection) {
    const { companion } = connection;
    if (!companion.greeted) await this.#greet(companion);
    const { queue, retries } = companion;
    if (!queue.length && !retries.length) return this.#caughtUp(connection, 0);
    connection.send(
      node("ib", {}, [
        node("offline_preview", {
          count: String(queue.length + retries.length),
          message: String(queue.length),
          receipt: String(retries.length),
          notification: "0",
          appdata: "0",
        }),
      ]),
    );
  }

  /** The client has asked for the batch that `catchUp` announced. */
  sendMissed(connection) {
    const { queue, retries } = connection.companion;
    const missed = [...queue.map(({ stanza }) => stanza), ...retries];
    missed.forEach((stanza, index) =>
      connection.send({ ...stanza, attrs: { ...stanza.attrs, offline: String(index) } }),
    );
    this.#caughtUp(connection, missed.length);
  }

  #caughtUp(connection, count) {
    connection.send(node("ib", {}, [node("offline", { count: String(count) })]));
    connection.companion.connection = connection;
    this.#server.tell("online", {
      jid: this.#server.people.account.pn(connection.companion.device),
      missed: count,
    });
  }

  /** The phone gives a newly linked device the key of the account's settings, and its history. */
  async #greet(companion) {
    companion.greeted = true;
    const keyData = {
      keyData: randomBytes(32),
      fingerprint: { rawId: 1, currentIndex: 1, deviceIndexes: [0, 1] },
      timestamp: now(),
    };
    await this.#fromPhone(companion, {
      type: Type.APP_STATE_SYNC_KEY_SHARE,
      appStateSyncKeyShare: { keys: [{ keyId: { keyId: randomBytes(6) }, keyData }] },
    });
    const history = {
      syncType: HistorySyncType.INITIAL_BOOTSTRAP,
      progress: 100,
      conversations: [],
    };
    await this.#fromPhone(companion, {
      type: Type.HISTORY_SYNC_NOTIFICATION,
      historySyncNotification: {
        syncType: HistorySyncType.INITIAL_BOOTSTRAP,
        chunkOrder: 1,
        progress: 100,
        initialHistBootstrapInlinePayload: deflateSync(proto.HistorySync.encode(history).finish()),
      },
    });
  }

  async #fromPhone(companion, protocolMessage) {
    const writer = this.#server.people.account;
    const content = proto.Message.fromObject({ protocolMessage });
    const attrs = {
      id: newId(),
      t: now(),
      type: "text",
      category: "peer",
      from: writer.pn(),
      notify: writer.name,
    };
    const written = { companion, writer, attrs, content };
    this.#written.set(attrs.id, written);
    companion.queue.push({
      stanza: node("message", attrs, [await this.#enc(written, content)]),
      asksAgain: false,
    });
  }

  /** A `<receipt>` of the client. */
  async receipt(connection, stanza) {
    const { id, to, type, participant } = stanza.attrs;
    const ids = [id, ...children(child(stanza, "list"), "item").map((item) => item.attrs.id)];
    const ack = { class: "receipt", id, from: to, participant, type };
    connection.send(node("ack", ack));
    if (this.#server.faults.take("loseReceipt")) return;
    this.#server.tell("receipt", { ids, to, type: type ?? "delivered", participant });
    if (type === "retry") await this.#again(connection, stanza);
    else ids.forEach((one) => this.#settle(connection, one));
  }

  /** An `<ack>` of the client for a message: it does not want it (again). */
  acked(connection, { attrs }) {
    const waiting = connection.companion.queue.find((one) => one.stanza.attrs.id === attrs.id);
    this.#server.tell("acked", { id: attrs.id, error: attrs.error });
    if (waiting?.asksAgain && attrs.error)
      waiting.asksAgain = false; // for what it asked anew
    else this.#settle(connection, attrs.id);
  }

  #settle({ companion }, id) {
    const found = companion.queue.find((one) => one.stanza.attrs.id === id);
    companion.queue = companion.queue.filter((one) => one !== found);
    const written = this.#written.get(id);
    if (found && written) written.sent = found.stanza;
  }

  async #again(connection, stanza) {
    const { companion } = connection;
    const written = this.#find(stanza.attrs.id);
    const { writer, group, attrs } = written;
    const keys = child(stanza, "keys");
    await writer.phone.begin(companion.address, keys ? bundleIn(stanza, keys) : companion.bundle());
    const content = proto.Message.decode(proto.Message.encode(written.content).finish()); // a copy
    if (group)
      content.senderKeyDistributionMessage = (
        await this.#keyFor(written)
      ).senderKeyDistributionMessage;
    const enc = await this.#enc(written, content, { count: child(stanza, "retry").attrs.count });
    this.#enqueue(companion, node("message", attrs, [enc]));
    companion.queue.at(-1).asksAgain = true;
  }
}

function sender({ writer, group, recipient }, names) {
  const [jid, other] =
    names === "lid" ? [writer.lidJid(), writer.pn()] : [writer.pn(), writer.lidJid()];
  const alternative = names === "lid" ? "pn" : "lid";
  if (group)
    return {
      from: group.id,
      participant: jid,
      [`participant_${alternative}`]: other,
      addressing_mode: names,
    };
  if (!recipient) return { from: jid, [`sender_${alternative}`]: other, addressing_mode: names };
  const [to, alias] =
    names === "lid" ? [recipient.lidJid(), recipient.pn()] : [recipient.pn(), recipient.lidJid()];
  return {
    from: jid,
    recipient: to,
    [`peer_recipient_${alternative}`]: alias,
    addressing_mode: names,
  };
}

/** What the account's own phone sent is told to its linked devices inside another message. */
function wrapped(content, recipient, names) {
  if (!recipient) return content;
  const destinationJid = names === "lid" ? recipient.lidJid() : recipient.pn();
  return proto.Message.fromObject({ deviceSentMessage: { destinationJid, message: content } });
}

/** The stanza with another last byte in everything that is encrypted. */
function spoiled(stanza) {
  const content = children(stanza, "enc").map((enc) => {
    const bytes = Buffer.from(enc.content);
    bytes[bytes.length - 1] ^= 0xff;
    return { ...enc, content: bytes };
  });
  return { ...stanza, content };
}

function typeOf(content) {
  if (content.reactionMessage) return "reaction";
  if (content.pollCreationMessage || content.pollCreationMessageV3) return "poll";
  return MEDIA_PARTS.some((part) => content[part]) ? "media" : "text";
}

/** The bundle in a retry receipt. */
function bundleIn(stanza, keys) {
  const part = (parent) =>
    parent && { keyId: numberOf(parent, "id"), publicKey: bytesOf(parent, "value") };
  const skey = child(keys, "skey");
  return {
    registrationId: numberOf(stanza, "registration"),
    identity: bytesOf(keys, "identity"),
    signedPreKey: { ...part(skey), signature: bytesOf(skey, "signature") },
    preKey: part(child(keys, "key")),
  };
}
