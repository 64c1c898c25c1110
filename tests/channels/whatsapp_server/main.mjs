// The program: a simulated WhatsApp Web server on a free port of the loopback interface, for tests.
// The test controls it with JSON-RPC 2.0 on standard input, a line each, and hears of what happens
// by notifications; `server.py` is the other end. It ends when its input ends.
//
//   node main.mjs <the account's number> [<file with a TLS key> <file with its certificate>]
import { createServer } from "node:http";
import { Console } from "node:console";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { WebSocketServer } from "ws";
import { Connection } from "./connection.mjs";
import { KINDS } from "./faults.mjs";
import { MediaStore } from "./media.mjs";
import { node, now } from "./nodes.mjs";
import { enterCode, scan } from "./pairing.mjs";
import { Server } from "./server.mjs";

// libsignal prints its sessions on standard output, which is for the test
globalThis.console = new Console(new Writable({ write: (chunk, encoding, done) => done() }));

const [number, keyPath, certificatePath] = process.argv.slice(2);
const LOOPBACK = "127.0.0.1";
const SERVICE_UNAVAILABLE = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n";

const write = (message) =>
  process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
const tell = (method, params) => write({ method, params });

function listen(server) {
  return new Promise((resolve) => server.listen(0, LOOPBACK, () => resolve(server.address().port)));
}

async function startMedia(faults) {
  if (!keyPath) return undefined;
  const store = new MediaStore({
    key: readFileSync(keyPath),
    cert: readFileSync(certificatePath),
    faults,
  });
  store.host = `${LOOPBACK}:${await listen(store.server)}`;
  return store;
}

function commands(server) {
  const { people, faults, incoming, outgoing } = server;
  const linked = () => [...server.connections].filter((one) => one.companion);
  return {
    scan: ({ qr }) => scan(server, qr),
    enterCode: ({ code }) => enterCode(server, code),
    contact: ({ number, name, receipts }) => {
      const person = people.contact(number, name);
      if (receipts) person.receipts = receipts;
      return { number: person.number, pn: person.pn(), lid: person.lidJid() };
    },
    group: (params) => server.makeGroup(params),
    incoming: (params) => incoming.write(params),
    repeat: ({ id }) => incoming.repeat(id),
    typing: ({ from, state = "composing" }) => {
      server.broadcast(node("chatstate", { from: people.contact(from).lidJid() }, [node(state)]));
    },
    read: ({ number, ids }) => {
      for (const id of ids)
        server.broadcast(
          node("receipt", { from: people.contact(number).lidJid(), id, type: "read", t: now() }),
        );
    },
    delivered: () => ({ messages: outgoing.delivered }),
    queued: () => ({
      ids: people.account.companions.flatMap((one) =>
        one.queue.map(({ stanza }) => stanza.attrs.id),
      ),
    }),
    state: () => ({
      connections: server.connections.size,
      unlinked: server.unlinked().length,
      devices: people.account.companions.map((one) => ({
        jid: people.account.pn(one.device),
        online: Boolean(one.connection),
      })),
    }),
    fault: (params) => faults.add(params),
    calm: ({ kind }) => faults.clear(kind),
    faults: () => KINDS,
    cut: () => [...server.connections].forEach((one) => one.cut()),
    disconnect: ({ code = 503 }) =>
      linked().forEach((one) => one.end(node("stream:error", { code: String(code) }))),
    replace: () =>
      linked().forEach((one) =>
        one.end(node("stream:error", {}, [node("conflict", { type: "replaced" })])),
      ),
    logout: () =>
      people.account.companions.forEach((one) => server.unlink(one, "the phone removed it")),
    stanza: (stanza) => server.broadcast(stanza), // any other, as `{tag, attrs, content}`
    garbage: () => linked().forEach((one) => one.sendGarbage()),
  };
}

async function obey(table, line) {
  const { id, method, params } = JSON.parse(line);
  try {
    const command = table[method];
    if (!command)
      throw new Error(
        `there is no command ${JSON.stringify(method)}; there are ${Object.keys(table).join(", ")}`,
      );
    write({ id, result: (await command(params ?? {})) ?? {} });
  } catch (problem) {
    write({ id, error: { code: -32000, message: problem.message, data: problem.stack } });
  }
}

async function main() {
  const server = new Server({ number, name: "Account", tell });
  server.media = await startMedia(server.faults);
  const http = createServer();
  const sockets = new WebSocketServer({ noServer: true });
  http.on("upgrade", (request, socket, head) => {
    if (server.faults.take("refuseConnection")) return socket.end(SERVICE_UNAVAILABLE);
    sockets.handleUpgrade(request, socket, head, (one) => new Connection(server, one));
  });
  const port = await listen(http);
  const table = commands(server);
  tell("ready", { port, media: server.media?.host });
  for await (const line of createInterface({ input: process.stdin })) await obey(table, line);
  process.exit(0);
}

await main();
