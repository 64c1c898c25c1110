// Who there is: the account with its phone and its linked devices, the contacts with theirs, the
// groups they are in. Everybody has a phone number and, as on WhatsApp today, a LID: another name
// that hides the number. Whoever is asked about under either name is found.
import { randomInt } from "node:crypto";
import { Party } from "./party.mjs";
import { parseJid } from "./nodes.mjs";

const LID_DIGITS = 15;

/** Somebody with a phone. */
export class Person {
  receipts = "delivered"; // what the phone says of a message: "none", "delivered" or "read"

  constructor(number, name) {
    this.number = number;
    this.name = name;
    this.lid = `9${number.padStart(LID_DIGITS - 1, "0")}`;
    this.phone = new Party();
  }

  /** The JID by number, of the phone (0) or another device. */
  pn(device = 0) {
    return `${this.number}${device ? `:${device}` : ""}@s.whatsapp.net`;
  }

  /** The JID by LID. */
  lidJid(device = 0) {
    return `${this.lid}${device ? `:${device}` : ""}@lid`;
  }

  /** The linked devices beside the phone. */
  get companions() {
    return [];
  }
}

/** A device that is linked to the account: the client under test. */
export class Companion {
  queue = []; // what it was not known to have, oldest first
  retries = []; // what phones asked it for again, until it has acknowledged that
  preKeys = [];
  connection = undefined; // set while it is logged in and has fetched what it missed
  greeted = false; // whether the phone has sent it its history

  constructor(account, device, { noiseKey, identity, registrationId, signedPreKey, keyIndex }) {
    Object.assign(this, {
      account,
      device,
      noiseKey,
      identity,
      registrationId,
      signedPreKey,
      keyIndex,
    });
  }

  /** How the other phones name it in their sessions. */
  get address() {
    return { user: this.account.number, device: this.device };
  }

  /** What a phone needs to write to it. It is given one pre-key while there are any. */
  bundle() {
    const { registrationId, identity, signedPreKey } = this;
    return { registrationId, identity, signedPreKey, preKey: this.preKeys.shift() };
  }
}

/** The account whose phone scans the QR. */
export class Account extends Person {
  #companions = new Map();
  #lastDevice = randomInt(1, 60);

  get companions() {
    return [...this.#companions.values()];
  }

  companion(device) {
    return this.#companions.get(device);
  }

  link(keys) {
    const device = ++this.#lastDevice;
    const companion = new Companion(this, device, { ...keys, keyIndex: device });
    this.#companions.set(device, companion);
    return companion;
  }

  unlink(device) {
    this.#companions.delete(device);
  }
}

/** A group chat. */
export class Group {
  keyed = new Map(); // who has told which companions the key they write with, by number

  constructor(id, subject, members, addressing) {
    Object.assign(this, {
      id,
      subject,
      members,
      addressing,
      created: Math.floor(Date.now() / 1000),
    });
  }
}

/** Everybody. */
export class People {
  #byNumber = new Map();
  #byLid = new Map();
  groups = new Map();

  constructor(account) {
    this.account = account;
    this.#keep(account);
  }

  #keep(person) {
    this.#byNumber.set(person.number, person);
    this.#byLid.set(person.lid, person);
    return person;
  }

  /** Somebody by number; a new contact if nobody has that number yet. */
  contact(number, name = undefined) {
    const digits = String(number).replace(/^\+/, "");
    if (!/^\d{5,15}$/.test(digits)) throw new Error(`${JSON.stringify(number)} is no phone number`);
    const person =
      this.#byNumber.get(digits) ?? this.#keep(new Person(digits, name ?? `+${digits}`));
    if (name) person.name = name;
    return person;
  }

  /** Whom a JID names, undefined if nobody has it. */
  find(jid) {
    const { user, server } = parseJid(jid);
    if (server === "lid") return this.#byLid.get(user);
    return server === "s.whatsapp.net" ? this.#byNumber.get(user) : undefined;
  }

  group(id) {
    const found = this.groups.get(id);
    if (!found) throw new Error(`there is no group ${JSON.stringify(id)}`);
    return found;
  }
}
