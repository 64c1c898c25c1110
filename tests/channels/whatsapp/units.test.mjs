// The sidecar's own parts, each alone; run by test_units.py with `node --test`.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { after, test } from "node:test";

const sources = process.env.SIDECAR_SOURCES;
const load = (name) => import(join(sources, name));
const { openAuth } = await load("auth.mjs");
const { coalesce } = await load("files.mjs");
const { describe } = await load("inbound.mjs");
const { makeLogger } = await load("log.mjs");
const { fetchMedia } = await load("media.mjs");
const { contentOf } = await load("outbound.mjs");
const { keepSessionsWhole } = await load("ratchet.mjs");
const { RpcError, serve } = await load("rpc.mjs");
const { openSent } = await load("sent.mjs");
const { Session } = await load("session.mjs");
const spools = await load("spool.mjs");
const windows = await load("window.mjs");

const signal = createRequire(join(sources, "main.mjs"))("libsignal");

const fresh = () => mkdtempSync(join(tmpdir(), "sidecar-"));
const mode = (path) => statSync(path).mode & 0o777;
const opened = [];
after(() => Promise.all(opened.map((spool) => spool.close())));
const openSpool = async (directory) => {
  const spool = await spools.openSpool(directory);
  opened.push(spool);
  return spool;
};
const SELF = { id: "4915100000001:7@s.whatsapp.net", lid: "999:7@lid" };
const ANNA = "491701234567@s.whatsapp.net";

const said = (content, key = { id: "A1", remoteJid: ANNA }, phones = {}) =>
  describe(key, content, { timestamp: 5, pushName: "Anna" }, SELF, async (lid) => phones[lid] ?? null);

// The login

test("keys come back as they were stored, also by another process", async () => {
  const directory = join(fresh(), "auth");
  const auth = await openAuth(directory);
  await auth.set({ session: { "anna.0": { key: Buffer.from("ab") }, gone: { a: 1 } } });
  await auth.set({ session: { gone: null } });
  await auth.saveCreds();
  const again = await openAuth(directory);
  const values = await again.get("session", ["anna.0", "gone", "never"]);
  assert.deepEqual(values, { "anna.0": { key: Buffer.from("ab") } });
  assert.deepEqual(again.creds.noiseKey, auth.creds.noiseKey);
});

test("a key that was used up goes when what was made of it is stored, and not before", async () => {
  const directory = join(fresh(), "auth");
  const auth = await openAuth(directory);
  await auth.set({ "pre-key": { 1: { a: 1 } } });
  mkdirSync(join(directory, "session-anna.0.json")); // so that it cannot be written
  await assert.rejects(auth.set({ "pre-key": { 1: null }, session: { "anna.0": { a: 2 } } }));
  assert.deepEqual(await (await openAuth(directory)).get("pre-key", ["1"]), { 1: { a: 1 } });
  await Promise.all([
    auth.set({ "pre-key": { 1: null }, session: { "ben.0": { a: 3 } } }),
    auth.set({ "pre-key": { 1: { a: 4 } } }),
  ]);
  assert.deepEqual(await auth.get("pre-key", ["1"]), { 1: { a: 4 } });
});

test("everything is for the owner alone, and nothing half written stays", async () => {
  const directory = join(fresh(), "auth");
  const auth = await openAuth(directory);
  await auth.set({ "pre-key": { 1: { a: 1 }, 2: { a: 2 } } });
  writeFileSync(join(directory, ".1-1.tmp"), "half");
  await openAuth(directory);
  assert.deepEqual(readdirSync(directory).sort(), ["pre-key-1.json", "pre-key-2.json"]);
  assert.equal(mode(directory), 0o700);
  for (const name of readdirSync(directory)) assert.equal(mode(join(directory, name)), 0o600);
});

test("a value that was changed by its reader is not changed in the store", async () => {
  const auth = await openAuth(join(fresh(), "auth"));
  await auth.set({ session: { a: { list: [1] } } });
  (await auth.get("session", ["a"])).a.list.push(2);
  assert.deepEqual((await auth.get("session", ["a"])).a, { list: [1] });
});

test("names cannot leave the directory", async () => {
  const directory = join(fresh(), "auth");
  const auth = await openAuth(directory);
  await auth.set({ session: { "../../evil": { a: 1 } } });
  assert.deepEqual(readdirSync(directory), ["session-..__..__evil.json"]);
});

test("credentials that cannot be read are not replaced", async () => {
  const directory = join(fresh(), "auth");
  await (await openAuth(directory)).saveCreds();
  writeFileSync(join(directory, "creds.json"), '{"noiseKey"');
  await assert.rejects(openAuth(directory), /cannot be read/);
  assert.equal(readFileSync(join(directory, "creds.json"), "utf8"), '{"noiseKey"');
});

test("wiping takes the login and leaves other files", async () => {
  const directory = join(fresh(), "auth");
  const auth = await openAuth(directory);
  await auth.set({ session: { a: { b: 1 } } });
  await auth.saveCreds();
  writeFileSync(join(directory, "notes.json"), "{}");
  const before = auth.creds.noiseKey;
  await auth.wipe();
  assert.deepEqual(readdirSync(directory), ["notes.json"]);
  assert.notDeepEqual(auth.creds.noiseKey, before);
});

test("a process that is killed while it writes never leaves a broken file", async () => {
  const directory = join(fresh(), "auth");
  const program = `
    const { openAuth } = await import(${JSON.stringify(join(sources, "auth.mjs"))});
    const auth = await openAuth(${JSON.stringify(directory)});
    for (let n = 0; ; n++) {
      auth.creds.accountSyncCounter = n;
      auth.creds.padding = "x".repeat(200_000);
      await Promise.all([auth.saveCreds(), auth.set({ session: { a: { n, padding: "y".repeat(200_000) } } })]);
      if (n === 3) console.log("going");
    }`;
  for (let round = 0; round < 5; round++) {
    const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout, "data");
    await new Promise((resolve) => setTimeout(resolve, 7 * round));
    child.kill("SIGKILL");
    await once(child, "exit");
    const auth = await openAuth(directory);
    assert.equal(auth.creds.padding.length, 200_000);
    assert.equal((await auth.get("session", ["a"])).a.padding.length, 200_000);
  }
});

// The ratchet

test("a message of an older session does not ruin the newest", async () => {
  keepSessionsWhole();
  const [we, phone] = [new Device("we"), new Device("phone")];
  await we.begin(phone);
  await phone.read(we, await we.write(phone, "first"));
  await we.read(phone, await phone.write(we, "first answer"));
  const late = await phone.write(we, "late");
  await we.begin(phone); // as the phone's retry receipt has us do
  assert.equal(await we.read(phone, late), "late");
  assert.equal(await phone.read(we, await we.write(phone, "second")), "second");
  assert.equal(await we.read(phone, await phone.write(we, "second answer")), "second answer");
});

/** One end of Signal's protocol, in memory. */
class Device {
  constructor(name) {
    this.address = new signal.ProtocolAddress(name, 0);
    this.identity = signal.curve.generateKeyPair();
    this.signed = signal.curve.generateKeyPair();
    this.sessions = new Map();
  }

  /** A new session of ours with another, from what it has published. */
  async begin(other) {
    const signature = signal.curve.calculateSignature(other.identity.privKey, other.signed.pubKey);
    const signedPreKey = { keyId: 1, publicKey: other.signed.pubKey, signature };
    const bundle = { registrationId: 1, identityKey: other.identity.pubKey, signedPreKey };
    for (const before = Date.now(); Date.now() === before; ); // the newest is tried first
    await new signal.SessionBuilder(this, other.address).initOutgoing(bundle);
  }

  write(other, text) {
    return new signal.SessionCipher(this, other.address).encrypt(Buffer.from(text));
  }

  async read(other, { type, body }) {
    const cipher = new signal.SessionCipher(this, other.address);
    const bytes = Buffer.from(body);
    const plain = type === 3 ? cipher.decryptPreKeyWhisperMessage(bytes) : cipher.decryptWhisperMessage(bytes);
    return (await plain).toString();
  }

  async loadSession(id) {
    const kept = this.sessions.get(id);
    return kept && signal.SessionRecord.deserialize(JSON.parse(kept));
  }

  async storeSession(id, record) {
    this.sessions.set(id, JSON.stringify(record.serialize()));
  }

  isTrustedIdentity = async () => true;
  loadPreKey = async () => undefined;
  loadSignedPreKey = async () => this.signed;
  getOurRegistrationId = async () => 1;
  getOurIdentity = async () => this.identity;
}

// The spool

test("what was not confirmed is there again, in order, with its number", async () => {
  const directory = fresh();
  const spool = await openSpool(directory);
  for (const text of ["one", "two", "three"]) await spool.append({ text });
  await spool.confirm([2, 17]);
  const again = await openSpool(directory);
  assert.deepEqual(again.unconfirmed, [[1, { text: "one" }], [3, { text: "three" }]]);
  assert.equal(await again.append({ text: "four" }), 4);
});

test("numbers are not used again, though nothing is waiting", async () => {
  const directory = fresh();
  const spool = await openSpool(directory);
  await spool.confirm([await spool.append({ text: "one" })]);
  assert.equal(await (await openSpool(directory)).append({ text: "two" }), 2);
  assert.equal(await (await openSpool(directory)).append({ text: "three" }), 3);
});

test("half a line at the end is forgotten, the rest kept", async () => {
  const directory = fresh();
  await (await openSpool(directory)).append({ text: "one" });
  appendFileSync(join(directory, "spool.jsonl"), '{"seq":2,"message":{"te');
  const again = await openSpool(directory);
  assert.deepEqual(again.unconfirmed, [[1, { text: "one" }]]);
  assert.equal(mode(join(directory, "spool.jsonl")), 0o600);
});

test("the file does not grow for ever", async () => {
  const directory = fresh();
  const spool = await openSpool(directory);
  for (let n = 0; n < 30; n++) await spool.confirm([await spool.append({ text: "x".repeat(100_000) })]);
  assert.ok(statSync(join(directory, "spool.jsonl")).size < 1_300_000);
});

test("it does not grow because of one that is never confirmed", async () => {
  const directory = fresh();
  const spool = await openSpool(directory);
  await spool.append({ text: "stays" });
  for (let n = 0; n < 30; n++) {
    const seqs = await Promise.all([0, 1].map(() => spool.append({ text: "x".repeat(50_000) })));
    const more = spool.append({ text: "y" }); // while the file may be written anew
    await spool.confirm(seqs);
    await spool.confirm([await more]);
  }
  assert.ok(statSync(join(directory, "spool.jsonl")).size < 1_300_000);
  assert.deepEqual((await openSpool(directory)).unconfirmed, [[1, { text: "stays" }]]);
});

test("what its writer made unreadable is a note", async () => {
  let nested = { conversation: "x" };
  for (let depth = 0; depth < 5000; depth++)
    nested = { extendedTextMessage: { text: "t", contextInfo: { stanzaId: "A", quotedMessage: nested } } };
  for (const content of [nested, null, { contactMessage: { vcard: 7 } }]) {
    const message = await said(content);
    assert.deepEqual([message.kind, message.text], ["message", "[a message that cannot be read here]"]);
    assert.equal(message.sender.jid, ANNA);
  }
});

test("no more messages are on their way than the window holds", () => {
  const told = [];
  const window = new windows.Window((seq, message) => told.push([seq, message.text]), 2);
  for (const [seq, text] of [[1, "one"], [2, "two"], [3, "three"], [4, "four"]]) window.add(seq, { text });
  assert.deepEqual(told, [[1, "one"], [2, "two"]]);
  window.confirmed([2, 17, 4]);
  assert.deepEqual(told.slice(2), [[3, "three"]]);
  window.confirmed([1, 3]);
  assert.deepEqual(told.slice(3), [[4, "four"]]);
});

test("what waits in the spool is told as fast as it is confirmed, and in order", async () => {
  const directory = fresh();
  const many = windows.MOST + 500;
  const spool = await openSpool(directory);
  await Promise.all(Array.from({ length: many }, (_, n) => spool.append({ text: `${n + 1}` })));
  const told = [];
  const notify = (method, { seq }) => method === "message" && told.push(seq);
  const session = new Session({ notify, log: makeLogger("silent"), onFatal: assert.fail });
  await session.start({ authDir: directory });
  await new Promise(setImmediate);
  assert.equal(told.length, windows.MOST);
  assert.equal((await session.status()).unconfirmed, many);
  await session.confirm({ seqs: told.slice(0, 400) });
  assert.equal(told.length, windows.MOST + 400);
  await session.confirm({ seqs: told.slice(400) });
  assert.deepEqual(told, Array.from({ length: many }, (_, n) => n + 1));
  await session.stop();
});

test("sent messages are remembered, and forgotten on demand", async () => {
  const directory = fresh();
  const sent = await openSent(directory);
  for (let n = 0; n < 1200; n++) await sent.add(`ID${n}`, { conversation: `text ${n}` });
  const again = await openSent(directory);
  assert.equal(again.get("ID1199").conversation, "text 1199");
  assert.equal(again.get("ID0"), undefined);
  await again.clear();
  assert.equal((await openSent(directory)).get("ID1199"), undefined);
});

test("calls that come while one runs share the next", async () => {
  let runs = 0;
  const work = coalesce(async () => {
    runs += 1;
    await new Promise((resolve) => setTimeout(resolve, 5));
  });
  await Promise.all([work(), work(), work(), work()]);
  assert.equal(runs, 2);
});

// What messages say

test("text, sender and chat, with the number where it is known", async () => {
  const message = await said({ conversation: "hello" });
  assert.deepEqual(message, {
    key: { id: "A1", chat: ANNA },
    chat: ANNA,
    group: false,
    sender: { jid: ANNA, phone: "+491701234567", name: "Anna" },
    timestamp: 5,
    offline: false,
    kind: "message",
    text: "hello",
  });
  const hidden = await said({ conversation: "x" }, { id: "A1", remoteJid: "123@lid" });
  assert.equal(hidden.chat, "123@lid");
  const known = await said({ conversation: "x" }, { id: "A1", remoteJid: "123@lid" }, { "123@lid": ANNA });
  assert.deepEqual([known.chat, known.key.chat, known.sender.lid], [ANNA, "123@lid", "123@lid"]);
});

test("mentions and quotes of us are recognised by either name", async () => {
  for (const me of ["4915100000001@s.whatsapp.net", "999@lid"]) {
    const contextInfo = { mentionedJid: [me], stanzaId: "B1", participant: me, quotedMessage: { conversation: "before" } };
    const message = await said({ extendedTextMessage: { text: "you", contextInfo } });
    assert.equal(message.mentionsMe, true);
    assert.deepEqual(message.quoted, { id: "B1", sender: me, fromMe: true, text: "before" });
  }
});

test("what devices say to each other is nothing", async () => {
  for (const content of [
    { senderKeyDistributionMessage: { groupId: "1@g.us" } },
    { protocolMessage: { type: 5 } },
    { messageContextInfo: {} },
    {},
    undefined,
  ])
    assert.equal(await said(content), null);
});

test("edits, deletions and reactions say what they are about", async () => {
  const key = { id: "C1", remoteJid: ANNA };
  const edit = { protocolMessage: { type: 14, key, editedMessage: { conversation: "better" } } };
  assert.deepEqual([(await said(edit)).kind, (await said(edit)).text], ["edit", "better"]);
  assert.equal((await said({ editedMessage: { message: edit } })).kind, "edit");
  assert.equal((await said({ protocolMessage: { type: 0, key } })).kind, "revoke");
  const reaction = await said({ reactionMessage: { key, text: "👍" } });
  assert.deepEqual([reaction.kind, reaction.text, reaction.target.id], ["reaction", "👍", "C1"]);
});

test("what hides inside disappearing and view-once messages is found", async () => {
  const inner = { message: { conversation: "secret" } };
  for (const name of ["ephemeralMessage", "viewOnceMessage", "viewOnceMessageV2"])
    assert.equal((await said({ [name]: inner })).text, "secret");
});

test("everything else is named", async () => {
  const vcard = "BEGIN:VCARD\nTEL;waid=49:+49 170 1\nEND:VCARD";
  for (const [content, text] of [
    [{ contactMessage: { displayName: "Ben", vcard } }, "[contact: Ben +49 170 1]"],
    [{ liveLocationMessage: { degreesLatitude: 1, degreesLongitude: 2 } }, "[live location 1,2]"],
    [{ pollUpdateMessage: {} }, "[vote in a poll]"],
    [{ buttonsResponseMessage: { selectedDisplayText: "Yes" } }, "Yes"],
    [{ somethingQuiteNewMessageV2: {} }, "[something quite new]"],
  ])
    assert.equal((await said(content)).text, text);
});

// Requests

test("what is to be sent is checked, and the field named", () => {
  for (const [params, pattern] of [
    [{}, /"text"/],
    [{ text: 7 }, /"text"/],
    [{ media: { kind: "hologram", path: "/x", mimetype: "x/y" } }, /media.kind/],
    [{ media: { kind: "image", path: "/x" } }, /mimetype/],
    [{ poll: { question: "?" } }, /options/],
  ])
    assert.throws(() => contentOf(params), pattern);
  const audio = { kind: "audio", path: "/x", mimetype: "audio/ogg", voice: true };
  assert.deepEqual(contentOf({ media: audio }), {
    audio: { url: "/x" },
    mimetype: "audio/ogg; codecs=opus",
    ptt: true,
  });
});

test("requests are answered, whatever comes", async () => {
  const input = new PassThrough();
  const output = new PassThrough();
  const methods = {
    good: async () => ({ fine: true }),
    bad: async () => {
      throw new RpcError("refused", "no");
    },
  };
  serve(input, output, methods, { onEnd() {} });
  for (const line of [
    "no json",
    '{"id":1}',
    '{"id":2,"method":"toString"}',
    '{"id":3,"method":"good"}',
    '{"id":4,"method":"bad"}',
    '{"method":"good"}',
    "",
  ])
    input.write(`${line}\n`);
  input.write('{"id":5,"meth');
  input.write('od":"good"}\n');
  await new Promise((resolve) => setTimeout(resolve, 20));
  const answers = output.read().toString().trim().split("\n").map((line) => JSON.parse(line));
  const brief = answers.map(({ id, result, error }) => [id, error?.code ?? result.fine]);
  const expected = [",-32700", "1,-32600", "2,-32601", "3,true", "4,-32000", "5,true"];
  assert.deepEqual(brief.map(String).sort(), expected);
  assert.equal(answers.find(({ id }) => id === 4).error.data.reason, "refused");
});

test("a download that is too large, cut or gone leaves no file", async () => {
  const path = join(fresh(), "file");
  const { proto } = await load("node_modules/baileys/lib/index.js");
  const message = { imageMessage: { mediaKey: Buffer.alloc(32, 1), mimetype: "image/png", directPath: "/x", fileSha256: Buffer.alloc(32, 2) } };
  const content = Buffer.from(proto.Message.encode(message).finish()).toString("base64");
  const handle = { type: "imageMessage", content };
  async function* large() {
    for (let n = 0; n < 10; n++) yield Buffer.alloc(100);
  }
  async function* cut() {
    yield Buffer.alloc(10);
    throw new Error("cut");
  }
  const gone = async () => {
    throw Object.assign(new Error("no"), { output: { statusCode: 410 } });
  };
  async function other() {
    return (async function* () {
      yield Buffer.from("another file");
    })();
  }
  const fetch = (download) => fetchMedia({ handle, path, maxBytes: 500 }, "files.example", download);
  await assert.rejects(fetch(async () => large()), (error) => error.data.reason === "tooLarge");
  await assert.rejects(fetch(async () => cut()), /cut/);
  await assert.rejects(fetch(other), /not the one that was sent/);
  await assert.rejects(fetch(gone), (error) => error.data.reason === "gone");
  const wrong = { handle: { type: "constructor" }, path, maxBytes: 1 };
  await assert.rejects(fetchMedia(wrong, "files.example"), /handle/);
  assert.deepEqual(readdirSync(join(path, "..")), []);
});

test("who writes a message does not decide whom we ask for its file", async () => {
  const { proto } = await load("node_modules/baileys/lib/index.js");
  const asked = [];
  const download = async (media, kind, { host }) => {
    asked.push(`${host}${media.directPath}`);
    return (async function* () {})();
  };
  for (const [where, reason] of [
    [{ directPath: "/v/x", url: "https://evil.example/v/x" }, null],
    [{ url: "https://mmg.whatsapp.net/v/y?a=1" }, null],
    [{ directPath: "@evil.example/x" }, "gone"],
    [{ url: "http://127.0.0.1:18789/" }, "gone"],
    [{ url: "nonsense" }, "gone"],
    [{}, "gone"],
  ]) {
    const message = { imageMessage: { mediaKey: Buffer.alloc(32, 1), ...where } };
    const handle = { type: "imageMessage", content: Buffer.from(proto.Message.encode(message).finish()).toString("base64") };
    const work = fetchMedia({ handle, path: join(fresh(), "file"), maxBytes: 1 }, "files.example", download);
    if (reason) await assert.rejects(work, (error) => error.data.reason === reason);
    else await work;
  }
  assert.deepEqual(asked, ["files.example/v/x", "files.example/v/y?a=1"]);
});

test("the log keeps sentences and drops what came with them", () => {
  const lines = [];
  const log = makeLogger("warn", (line) => lines.push(line));
  log.warn({ key: "private", err: new Error("fetch https://x/y?auth=SECRET&token=SECRET failed") }, "went wrong");
  log.info({ body: "private" }, "not heard");
  log.error({ node: "private" });
  assert.equal(lines[0], "warn: went wrong: fetch https://x/y?auth=…&token=… failed\n");
  assert.equal(lines.length, 2);
  assert.ok(!lines.join("").includes("private"));
});
