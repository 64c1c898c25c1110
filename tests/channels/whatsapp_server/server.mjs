// The simulated WhatsApp: who there is, who is connected, and what becomes of what they send. The
// state lives in this process, so a client can be killed and come back to the same account.
import { randomBytes } from "node:crypto";
import { Faults } from "./faults.mjs";
import { Incoming } from "./incoming.mjs";
import { Outgoing } from "./outgoing.mjs";
import { Account, Group, People } from "./people.mjs";
import { answer } from "./queries.mjs";
import { makeServerIdentity } from "./noise.mjs";
import { SERVER, child, children, node, now } from "./nodes.mjs";
import * as pairing from "./pairing.mjs";

export class Server {
  identity = makeServerIdentity();
  faults = new Faults();
  connections = new Set();
  #lastId = 0;
  #lastGroup = 0;

  /** `tell(event, details)` hears what happens; without `media` there are no files. */
  constructor({ number, name, tell, media }) {
    this.tell = tell;
    this.media = media;
    this.people = new People(new Account(number, name));
    this.outgoing = new Outgoing(this);
    this.incoming = new Incoming(this);
  }

  nextId() {
    return `${Date.now() % 1_000_000}-${++this.#lastId}`;
  }

  /** Do something after what is being answered has been answered. */
  later(what) {
    setImmediate(async () => {
      try {
        await what();
      } catch (problem) {
        this.tell("problem", { message: problem.message, stack: problem.stack });
      }
    });
  }

  /** The connections of clients that are not linked. */
  unlinked() {
    return [...this.connections].filter((one) => one.registration);
  }

  /** A client has shaken hands and says what it wants: to be linked, or to log in. */
  entered(connection, payload) {
    this.connections.add(connection);
    const refused = this.faults.take("refuseLogin");
    if (refused) return this.#fail(connection, refused.reason ?? 503);
    if (payload.devicePairingData) {
      this.tell("registering", {});
      return pairing.offer(connection, this, payload.devicePairingData);
    }
    return this.#logIn(connection, payload);
  }

  #fail(connection, reason) {
    this.tell("refusedLogin", { reason });
    connection.end(node("failure", { reason: String(reason), location: "test" }));
  }

  #logIn(connection, payload) {
    const { account } = this.people;
    const companion = account.companion(payload.device);
    const known =
      companion &&
      String(payload.username) === account.number &&
      companion.noiseKey.equals(connection.noiseKey);
    if (!known) return this.#fail(connection, 401);
    for (const other of this.connections) {
      if (other.companion === companion) other.end(streamConflict("replaced"));
    }
    connection.companion = companion;
    companion.connection = undefined;
    this.tell("login", { jid: account.pn(companion.device) });
    connection.send(
      node("ib", {}, [node("edge_routing", {}, [node("routing_info", {}, randomBytes(4))])]),
    );
    connection.send(
      node("success", {
        t: now(),
        lid: account.lidJid(companion.device),
        location: "test",
        props: "1",
      }),
    );
  }

  /** A client that has logged in is ready to hear what it missed. */
  ready(connection) {
    return this.incoming.catchUp(connection);
  }

  left(connection) {
    if (!this.connections.delete(connection)) return;
    if (connection.companion?.connection === connection)
      connection.companion.connection = undefined;
    this.tell("closed", { linked: Boolean(connection.companion) });
  }

  /** A node from a client. */
  async handle(connection, stanza) {
    if (!connection.companion) return this.#handleUnlinked(connection, stanza);
    switch (stanza.tag) {
      case "iq":
        return answer(this, connection, stanza);
      case "message":
        return this.outgoing.take(connection, stanza);
      case "receipt":
        return this.incoming.receipt(connection, stanza);
      case "ack":
        return this.#acked(connection, stanza);
      case "ib":
        return child(stanza, "offline_batch") ? this.incoming.sendMissed(connection) : undefined;
      case "presence":
        return this.tell("presence", stanza.attrs);
      case "chatstate":
        return this.tell("chatstate", { to: stanza.attrs.to, state: children(stanza)[0]?.tag });
      default:
        return this.tell("unknownStanza", { tag: stanza.tag, attrs: stanza.attrs });
    }
  }

  #acked(connection, stanza) {
    if (stanza.attrs.class === "message") return this.incoming.acked(connection, stanza);
    return stanza.attrs.class === "receipt"
      ? this.outgoing.acked(connection, stanza)
      : undefined;
  }

  #handleUnlinked(connection, stanza) {
    if (stanza.tag !== "iq" || !connection.registration) return;
    const { signing } = connection.registration;
    if (signing && stanza.attrs.type === "result" && stanza.attrs.id === signing.id) {
      pairing.signed(this, connection, stanza);
    } else if (stanza.attrs.type !== "result") {
      answer(this, connection, stanza);
    }
  }

  /** Take a device from the account. */
  unlink(companion, why) {
    this.people.account.unlink(companion.device);
    this.tell("unlinked", { jid: this.people.account.pn(companion.device), why });
    for (const connection of this.connections) {
      if (connection.companion === companion)
        connection.end(streamConflict("device_removed", { code: "401" }));
    }
  }

  /** Make a group of the account and some contacts. */
  makeGroup({
    subject,
    members,
    addressing = "lid",
    id = `12036300000000${++this.#lastGroup}@g.us`,
  }) {
    const group = new Group(
      id,
      subject,
      members.map((number) => this.people.contact(number)),
      addressing,
    );
    this.people.groups.set(id, group);
    return { id };
  }

  /** Send a node to every linked client that is connected. */
  broadcast(stanza) {
    for (const connection of this.connections) if (connection.companion) connection.send(stanza);
  }
}

function streamConflict(type, attrs = {}) {
  return node("stream:error", attrs, [node("conflict", { type })]);
}

export { SERVER };
