// The questions a client asks (`<iq>`) beside linking and messages: what it needs to come up, to
// know people and to encrypt for them. Whatever is not known here is answered with error 501 and
// told, so that nobody takes silence for success.
import {
  SERVER,
  bytesFor,
  bytesOf,
  child,
  children,
  node,
  now,
  numberOf,
  parseJid,
} from "./nodes.mjs";
import { companionAsks } from "./pairing.mjs";

const KEY_TYPE = Buffer.from([5]);
const PRIVACY = ["last", "online", "profile", "status", "readreceipts", "groupadd", "calladd"];

/** An answer that is a refusal. */
class Refusal extends Error {
  constructor(code, text) {
    super(text);
    this.code = code;
  }
}

/** Answer a query. */
export function answer(server, connection, query) {
  const { id, to, xmlns } = query.attrs;
  const reply = (type, content) =>
    connection.send(node("iq", { from: to ?? SERVER, type, id }, content));
  const fault = server.faults.take(
    "refuseQuery",
    (one) => one.xmlns === undefined || one.xmlns === xmlns,
  );
  try {
    if (fault) throw new Refusal(fault.code ?? 429, fault.text ?? "rate-overlimit");
    const handler = HANDLERS[xmlns];
    if (!handler) throw new Refusal(501, "feature-not-implemented");
    const content = handler({ server, connection, query });
    if (content !== HANDLED) reply("result", content);
  } catch (problem) {
    if (!(problem instanceof Refusal)) throw problem;
    if (problem.code === 501)
      server.tell("unknownQuery", {
        xmlns: xmlns ?? "",
        content: children(query).map((one) => one.tag),
      });
    reply("error", [node("error", { code: String(problem.code), text: problem.message })]);
  }
}

const HANDLED = Symbol("it has been answered already");

const HANDLERS = {
  "w:p": () => undefined,
  "urn:xmpp:whatsapp:dirty": () => undefined,
  "w:stats": () => undefined,
  privacy: ({ query }) => (query.attrs.type === "set" ? undefined : [privacy()]),
  blocklist: () => [node("list")],
  abt: () => [
    node("props", { hash: "test", refresh: "86400" }, [
      node("prop", { config_code: "1", config_value: "1" }),
    ]),
  ],
  passive: becomePassive,
  encrypt: keys,
  usync: lookUp,
  md: devices,
  "w:g2": groups,
  "w:m": mediaHosts,
  "w:sync:app:state": appState,
  "w:profile:picture": () => {
    throw new Refusal(404, "item-not-found");
  },
};

function privacy() {
  return node(
    "privacy",
    {},
    PRIVACY.map((name) => node("category", { name, value: "all" })),
  );
}

/** `active`: the client is ready to hear what it missed. */
function becomePassive({ server, connection, query }) {
  if (child(query, "active")) server.later(() => server.ready(connection));
  return undefined;
}

// Keys

function keys({ server, connection, query }) {
  const [asked] = children(query);
  const { companion } = connection;
  switch (asked?.tag) {
    case "count":
      return [node("count", { value: String(companion.preKeys.length) })];
    case "digest":
      return [
        node("digest", {}, [
          node("registration", {}, bytesFor(companion.registrationId, 4)),
          node("type", {}, KEY_TYPE),
          node("identity", {}, companion.identity),
          node("skey", {}, [node("id", {}, bytesFor(companion.signedPreKey.keyId, 3))]),
        ]),
      ];
    case "key":
      return [
        node(
          "list",
          {},
          children(asked, "user").map((user) => bundleNode(server, user.attrs.jid)),
        ),
      ];
    case "rotate":
      companion.signedPreKey = preKeyOf(child(asked, "skey"));
      return undefined;
    default:
      return upload(server, companion, query);
  }
}

function preKeyOf(parent) {
  const signature = child(parent, "signature") && bytesOf(parent, "signature");
  return { keyId: numberOf(parent, "id"), publicKey: bytesOf(parent, "value"), signature };
}

function upload(server, companion, query) {
  const list = child(query, "list");
  if (!list) throw new Refusal(501, "feature-not-implemented");
  if (!bytesOf(query, "identity").equals(companion.identity))
    throw new Refusal(406, "not-acceptable");
  companion.preKeys.push(...children(list, "key").map(preKeyOf));
  companion.signedPreKey = preKeyOf(child(query, "skey"));
  server.tell("preKeys", { count: companion.preKeys.length });
  return undefined;
}

function bundleNode(server, jid) {
  const bundle = bundleOf(server, jid);
  if (!bundle)
    return node("user", { jid }, [node("error", { code: "404", text: "item-not-found" })]);
  return node("user", { jid, t: now() }, bundleNodes(bundle));
}

/** A bundle as it is sent, in answers and in retry receipts. */
export function bundleNodes({ registrationId, identity, signedPreKey, preKey }) {
  const id = (number) => node("id", {}, bytesFor(number, 3));
  const content = [
    node("registration", {}, bytesFor(registrationId, 4)),
    node("type", {}, KEY_TYPE),
    node("identity", {}, identity),
    node("skey", {}, [
      id(signedPreKey.keyId),
      node("value", {}, signedPreKey.publicKey),
      node("signature", {}, signedPreKey.signature),
    ]),
  ];
  if (preKey)
    content.push(node("key", {}, [id(preKey.keyId), node("value", {}, preKey.publicKey)]));
  return content;
}

function bundleOf(server, jid) {
  const person = server.people.find(jid);
  const { device } = parseJid(jid);
  if (!person) return undefined;
  if (device === 0) return person.phone.bundle();
  return person.companions.find((one) => one.device === device)?.bundle();
}

// People

function lookUp({ server, query }) {
  const usync = child(query, "usync");
  const wanted = children(child(usync, "query")).map((one) => one.tag);
  const users = children(child(usync, "list"), "user").map((user) =>
    userNode(server, user, wanted),
  );
  return [node("usync", usync.attrs, [node("result"), node("list", {}, users)])];
}

function userNode(server, user, wanted) {
  const phone = child(user, "contact")?.content;
  const jid =
    user.attrs.jid ??
    `${Buffer.from(phone ?? "")
      .toString()
      .replace(/^\+/, "")}@s.whatsapp.net`;
  const person = server.people.find(jid);
  const content = wanted.map((tag) => USER_PARTS[tag]?.(person, jid)).filter(Boolean);
  return node("user", { jid }, content);
}

const USER_PARTS = {
  contact: (person) => node("contact", { type: person ? "in" : "out" }),
  // who is asked about under the LID is known by it already
  lid: (person, jid) =>
    person && !jid.endsWith("@lid") ? node("lid", { val: person.lidJid() }) : undefined,
  devices: (person) =>
    node("devices", {}, [node("device-list", {}, person ? deviceNodes(person) : [])]),
  status: () => node("status", { t: "0" }),
  disappearing_mode: () => node("disappearing_mode", { duration: "0", t: "0" }),
};

function deviceNodes(person) {
  const linked = person.companions.map((one) =>
    node("device", { id: String(one.device), "key-index": String(one.keyIndex) }),
  );
  return [node("device", { id: "0" }), ...linked];
}

// Devices of the account

function devices({ server, connection, query }) {
  if (child(query, "link_code_companion_reg")) {
    companionAsks(server, connection, query);
    return HANDLED;
  }
  if (child(query, "remove-companion-device")) {
    server.later(() => server.unlink(connection.companion, "the client logged out"));
    return undefined;
  }
  throw new Refusal(501, "feature-not-implemented");
}

// Groups

function groups({ server, query }) {
  const [asked] = children(query);
  const known = [...server.people.groups.values()];
  if (asked?.tag === "participating")
    return [
      node(
        "groups",
        {},
        known.map((group) => groupNode(server, group)),
      ),
    ];
  if (asked?.tag !== "query") throw new Refusal(501, "feature-not-implemented");
  const group = server.people.groups.get(query.attrs.to);
  if (!group) throw new Refusal(404, "item-not-found");
  return [groupNode(server, group)];
}

/** A group's description. */
export function groupNode(server, group) {
  const { account } = server.people;
  const byLid = group.addressing === "lid";
  const member = (person) =>
    node(
      "participant",
      byLid
        ? { jid: person.lidJid(), phone_number: person.pn() }
        : { jid: person.pn(), lid: person.lidJid() },
    );
  const attrs = {
    id: group.id.split("@")[0],
    subject: group.subject,
    s_t: String(group.created),
    creation: String(group.created),
    creator: byLid ? account.lidJid() : account.pn(),
    addressing_mode: group.addressing,
  };
  return node("group", attrs, [account, ...group.members].map(member));
}

// The rest

function mediaHosts({ server }) {
  if (!server.media) throw new Refusal(501, "feature-not-implemented");
  const hosts = [
    node("host", {
      hostname: server.media.host,
      type: "primary",
      maxContentLengthBytes: "104857600",
    }),
  ];
  return [
    node(
      "media_conn",
      { auth: server.media.auth, ttl: "21600", auth_ttl: "21600", max_buckets: "12" },
      hosts,
    ),
  ];
}

function appState({ query }) {
  const collections = children(child(query, "sync"), "collection");
  return [
    node(
      "sync",
      {},
      collections.map(({ attrs }) =>
        node("collection", { name: attrs.name, version: attrs.version }),
      ),
    ),
  ];
}
