// A minimal client for the tests of the simulated server: Baileys, and nothing around it but what
// it needs to be strict: it checks signatures, and does not wait for ever for a refused connection.
// It is controlled as the server is, by JSON-RPC on standard input, and tells what Baileys emits.
//
//   node --import ./trust.mjs client.mjs <WebSocket address> <file for its credentials>
import { Console } from "node:console";
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import makeWASocket, { Curve, DisconnectReason, downloadMediaMessage } from "baileys";
import pino from "pino";
import { credentialsIn } from "./credentials.mjs";
import { isSigned } from "./signatures.mjs";

// libsignal prints its sessions on standard output, which is for the test
globalThis.console = new Console(new Writable({ write: (chunk, encoding, done) => done() }));

Curve.verify = isSigned;

const [address, path] = process.argv.slice(2);
const QUERY_MS = 15_000;
const write = (message) =>
  process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
const tell = (method, params) => write({ method, params });
const logger = pino({ level: process.env.LOG ?? "silent" }, process.stderr);

const kept = new Map(); // messages heard, for downloads
let socket;

function connect() {
  const { state, keep } = credentialsIn(path);
  socket = makeWASocket({
    auth: state,
    logger,
    waWebSocketUrl: address,
    defaultQueryTimeoutMs: QUERY_MS,
    qrTimeout: 60_000,
    markOnlineOnConnect: false,
    emitOwnEvents: false, // what it sends is no news
  });
  socket.ev.on("creds.update", keep);
  socket.ev.on("connection.update", (update) => changed(update));
  socket.ev.on("messages.upsert", ({ messages, type }) =>
    messages.forEach((one) => heard(one, type)),
  );
  socket.ev.on("messages.update", (updates) =>
    updates.forEach(({ key, update }) => tell("update", { key, update })),
  );
  socket.ev.on("presence.update", (update) => tell("presence", update));
  socket.ev.on("call", (calls) => calls.forEach((one) => tell("call", one)));
  socket.ws.on("unexpected-response", (request, { statusCode }) =>
    socket.end(new Error(`HTTP ${statusCode}`)),
  );
  socket.ws.on("CB:ack,class:message", ({ attrs }) => tell("ack", attrs));
  socket.ev.on("message-receipt.update", (receipts) =>
    receipts.forEach((one) => tell("groupReceipt", one)),
  );
}

function changed({ connection, qr, lastDisconnect }) {
  if (qr) tell("qr", { qr });
  if (connection === "open") tell("open", { me: socket.user });
  if (connection !== "close") return;
  const code = lastDisconnect?.error?.output?.statusCode;
  tell("close", { code, reason: lastDisconnect?.error?.message });
  if (code === DisconnectReason.restartRequired) connect();
}

function heard(message, type) {
  kept.set(message.key.id, message);
  tell("message", {
    type,
    key: message.key,
    name: message.pushName,
    message: message.message,
    stub: message.messageStubType,
  });
}

const COMMANDS = {
  connect,
  end: () => socket.end(undefined),
  logout: () => socket.logout(),
  code: async ({ number }) => ({ code: await socket.requestPairingCode(number) }),
  send: async ({ to, content, id }) => {
    const sent = await socket.sendMessage(to, revive(content), id ? { messageId: id } : {});
    return { id: sent.key.id };
  },
  lookUp: async ({ numbers }) => ({ found: await socket.onWhatsApp(...numbers) }),
  groups: async () => ({ groups: Object.values(await socket.groupFetchAllParticipating()) }),
  typing: ({ to }) => socket.sendPresenceUpdate("composing", to),
  read: ({ id }) => socket.readMessages([kept.get(id).key]),
  download: async ({ id }) => {
    const data = await downloadMediaMessage(kept.get(id), "buffer", {});
    return { data: data.toString("base64") };
  },
};

/** Files are in the content as `{"base64": …}`. */
function revive(content) {
  return Object.fromEntries(
    Object.entries(content).map(([name, value]) => [
      name,
      value?.base64 === undefined ? value : Buffer.from(value.base64, "base64"),
    ]),
  );
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line);
  Promise.resolve()
    .then(() => COMMANDS[method](params ?? {}))
    .then(
      (result) => write({ id, result: result ?? {} }),
      (problem) =>
        write({ id, error: { code: -32000, message: problem.message, data: problem.stack } }),
    );
}
process.exit(0);
