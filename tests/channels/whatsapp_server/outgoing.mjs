// What the client sends: the server takes it, acknowledges it by its id, and hands each phone its
// share; the phones decrypt it and show it. A phone shows a message once: another with the same id
// in the same chat is counted (`copies`) but not shown again. A phone that cannot read a message
// asks for it again with a retry receipt, which is kept for the client until it has acknowledged it.
// Everybody shown a message says so with a receipt.
import { proto } from "baileys";
import { bundleNodes } from "./queries.mjs";
import { bytesFor, child, children, node, now, parseJid } from "./nodes.mjs";

const INVALID = 479; // WhatsApp's code for a stanza it does not accept
const AS_JSON = { longs: Number, bytes: String, enums: String };
const NOT_SHOWN = ["messageContextInfo", "senderKeyDistributionMessage"];

export class Outgoing {
  delivered = []; // what phones have shown, in order
  #server;
  #shown = new Map();
  #receipts = []; // what the phones say to the message that is being taken
  #late = []; // acks that are held back until another has gone out

  constructor(server) {
    this.#server = server;
  }

  /** A `<message>` of the client. */
  async take(connection, stanza) {
    const { faults } = this.#server;
    const refused = faults.take("refuseMessage");
    if (refused)
      return this.#acknowledge(connection, stanza, { error: String(refused.error ?? INVALID) });
    if (faults.take("loseMessage"))
      return this.#server.tell("lostMessage", { id: stanza.attrs.id });
    this.#receipts = [];
    const problem = await this.#spread(connection, stanza);
    if (problem) {
      this.#server.tell("refused", { id: stanza.attrs.id, reason: problem });
      return this.#acknowledge(connection, stanza, { error: String(INVALID) });
    }
    if (faults.take("cutAfterMessage")) return connection.cut();
    if (faults.take("loseAck")) return undefined;
    const receipts = this.#receipts;
    const answer = () => {
      this.#acknowledge(connection, stanza, {});
      receipts.forEach((receipt) => connection.send(receipt));
    };
    if (faults.take("lateAck")) return void this.#late.push(answer);
    answer();
    for (const held of this.#late.splice(0)) held();
  }

  #acknowledge(connection, { attrs }, more) {
    connection.send(
      node("ack", { class: "message", id: attrs.id, from: attrs.to, t: now(), ...more }),
    );
  }

  /** Give everybody their share. What is wrong with the stanza, if something is. */
  async #spread(connection, stanza) {
    const { id, to, participant, category } = stanza.attrs;
    if (!id || !to) return "a message needs an id and somebody it is for";
    const shares = this.#shares(stanza);
    const common = child(stanza, "enc");
    if (!shares.length && !common) return "a message needs something encrypted";
    if (to.endsWith("@g.us")) return this.#spreadInGroup(connection, stanza, shares, common);
    const person = this.#server.people.find(to);
    if (!person) return `nobody has ${to}`;
    if (!shares.length) shares.push({ jid: participant ?? to, enc: common });
    for (const share of shares) {
      const problem = await this.#hand(connection, stanza, share, { person, category });
      if (problem) return problem;
    }
    return undefined;
  }

  #shares(stanza) {
    return children(child(stanza, "participants"), "to").map((to) => ({
      jid: to.attrs.jid,
      enc: child(to, "enc"),
    }));
  }

  async #hand(connection, stanza, { jid, enc }, { person, category }) {
    const reader = this.#server.people.find(jid);
    if (!reader || !enc) return `no device for ${jid}`;
    if (parseJid(jid).device !== 0) return undefined; // another linked device: nobody looks at it
    const message = await this.#read(connection, stanza, reader, (phone, address) =>
      phone.decrypt(address, enc.attrs.type, enc.content),
    );
    if (!message) return undefined;
    if (category === "peer") this.#server.tell("peerMessage", { message: this.#plain(message) });
    else if (reader === this.#server.people.account) this.#ownCopy(stanza, person, message);
    else await this.#show(stanza, { chat: reader.number, reader, message });
    return undefined;
  }

  async #spreadInGroup(connection, stanza, shares, common) {
    const group = this.#server.people.groups.get(stanza.attrs.to);
    if (!group) return `there is no group ${stanza.attrs.to}`;
    const direct = common?.attrs.type !== "skmsg";
    if (direct) shares.push({ jid: stanza.attrs.participant, enc: common });
    for (const { jid, enc } of shares) {
      const reader = this.#server.people.find(jid);
      if (!reader || !enc) return `no device for ${jid}`;
      if (parseJid(jid).device !== 0) continue;
      const message = await this.#read(connection, stanza, reader, (phone, address) =>
        phone.decrypt(address, enc.attrs.type, enc.content),
      );
      if (!message) continue;
      await this.#learnKey(connection, reader, message);
      if (direct) await this.#show(stanza, { chat: group.id, reader, message });
    }
    if (direct) return undefined;
    for (const reader of [this.#server.people.account, ...group.members]) {
      const message = await this.#read(connection, stanza, reader, (phone, address) =>
        phone.decryptInGroup(group.id, address, common.content),
      );
      if (message) await this.#show(stanza, { chat: group.id, reader, message });
    }
    return undefined;
  }

  async #learnKey(connection, reader, message) {
    const key = message.senderKeyDistributionMessage;
    if (!key) return;
    await reader.phone.learnSenderKey(
      key.groupId,
      connection.companion.address,
      key.axolotlSenderKeyDistributionMessage,
    );
  }

  /** Decrypt on a phone; undefined, and a retry receipt, when that fails or shall fail. */
  async #read(connection, stanza, reader, decrypt) {
    const { address } = connection.companion;
    try {
      if (this.#server.faults.take("failDecryption", (one) => one.number === reader.number)) {
        reader.phone.forget(address);
        throw new Error("it was told to fail");
      }
      return await decrypt(reader.phone, address);
    } catch (problem) {
      this.#server.tell("unreadable", {
        id: stanza.attrs.id,
        number: reader.number,
        reason: problem.message,
      });
      this.#askAgain(connection.companion, stanza, reader);
      return undefined;
    }
  }

  /** Ask the device that sent it; it is asked again when it comes back, until it has heard. */
  #askAgain(companion, stanza, reader) {
    const { id, to } = stanza.attrs;
    const content = [
      node("retry", { v: "1", count: "1", id, t: now() }),
      node("registration", {}, bytesFor(reader.phone.registrationId, 4)),
      node(
        "keys",
        {},
        bundleNodes(reader.phone.bundle()).filter((one) => one.tag !== "registration"),
      ),
    ];
    const attrs = { ...this.#sender(to, reader), id, type: "retry", t: now() };
    const retry = node("receipt", attrs, content);
    companion.retries = companion.retries.filter((one) => !isSame(one.attrs, attrs));
    companion.retries.push(retry);
    this.#receipts.push(retry);
  }

  /** An `<ack>` of the client for a receipt. */
  acked({ companion }, { attrs }) {
    const { id, to: from, participant, type } = attrs;
    if (type !== "retry") return;
    companion.retries = companion.retries.filter(
      (one) => !isSame(one.attrs, { id, from, participant }),
    );
  }

  #sender(to, reader) {
    if (!to.endsWith("@g.us")) return { from: to };
    const { addressing } = this.#server.people.group(to);
    return { from: to, participant: addressing === "lid" ? reader.lidJid() : reader.pn() };
  }

  /** The account's own phone hears of what a linked device sent. */
  #ownCopy({ attrs }, person, message) {
    const sent = message.deviceSentMessage?.message;
    const found = this.#shown.get(`${person.number}|${attrs.id}`);
    this.#server.tell("ownCopy", { id: attrs.id, complete: Boolean(sent), known: Boolean(found) });
  }

  async #show(stanza, { chat, reader, message }) {
    const { id, to } = stanza.attrs;
    const key = `${chat}|${id}`;
    const known = this.#shown.get(key);
    if (known?.shownTo.includes(reader.number)) {
      if (reader.number === known.shownTo[0]) known.copies += 1;
      this.#server.tell("copy", { id, chat, number: reader.number });
      return this.#confirm(to, reader, id);
    } else if (known) {
      known.shownTo.push(reader.number);
    } else {
      await this.#showFirst(key, stanza, { chat, reader, message });
    }
    this.#server.tell("shown", { id, chat, number: reader.number });
    return this.#confirm(to, reader, id);
  }

  async #showFirst(key, { attrs }, { chat, reader, message }) {
    const plain = this.#plain(message);
    const kind = Object.keys(plain).find((name) => !NOT_SHOWN.includes(name)) ?? "empty";
    const shown = {
      id: attrs.id,
      chat,
      to: attrs.to,
      kind,
      text: textOf(plain),
      message: plain,
      shownTo: [reader.number],
      copies: 1,
    };
    this.#shown.set(key, shown);
    this.delivered.push(shown);
    const media = await this.#server.media?.open(kind, message[kind]);
    if (media) shown.media = media;
    this.#server.tell("message", shown);
  }

  #confirm(to, reader, id) {
    if (reader === this.#server.people.account || reader.receipts === "none") return;
    const attrs = { ...this.#sender(to, reader), id, t: now() };
    this.#receipts.push(node("receipt", attrs));
    if (reader.receipts === "read")
      this.#receipts.push(node("receipt", { ...attrs, type: "read" }));
  }

  #plain(message) {
    return proto.Message.toObject(message, AS_JSON);
  }
}

/** Whether two receipts are for the same message, and of the same phone. */
function isSame(one, other) {
  return ["id", "from", "participant"].every((name) => one[name] === other[name]);
}

/** The words in a message, whatever it is: its text, or the caption below it. */
function textOf(message) {
  const inner = message.protocolMessage?.editedMessage ?? message;
  if (inner.conversation !== undefined) return inner.conversation;
  for (const part of Object.values(inner)) {
    const words = part?.text ?? part?.caption;
    if (words !== undefined) return words;
  }
  return "";
}
