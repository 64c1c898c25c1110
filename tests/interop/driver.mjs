// Drives the public reference client, unmodified, from a test.
//
// Commands come as JSON lines on standard input: {"do": "connect" | "request" | "stop", ...}. What
// the client tells goes out as JSON lines: {"hello"}, {"event"}, {"reply"}, {"connectError"},
// {"closed"}, {"gap"}, {"paused"}, {"stopped"}. The device key and the device tokens are kept in
// the file named by the first argument, as an app would keep them.
import crypto from "node:crypto";
import fs from "node:fs";
import readline from "node:readline";
import { GatewayClient } from "@openclaw/gateway-client";

const keptAt = process.argv[2];
const tell = (line) => process.stdout.write(JSON.stringify(line) + "\n");

function loadKept() {
  if (fs.existsSync(keptAt)) return JSON.parse(fs.readFileSync(keptAt, "utf8"));
  const { publicKey, privateKey } = crypto.generateKeyPairSync("ed25519");
  const raw = publicKey.export({ type: "spki", format: "der" }).subarray(12);
  return {
    identity: {
      deviceId: crypto.createHash("sha256").update(raw).digest("hex"),
      publicKeyPem: publicKey.export({ type: "spki", format: "pem" }),
      privateKeyPem: privateKey.export({ type: "pkcs8", format: "pem" }),
    },
    tokens: {},
  };
}

const kept = loadKept();
// Renamed into place: a test may read it at any moment.
const keep = () => {
  fs.writeFileSync(`${keptAt}.new`, JSON.stringify(kept));
  fs.renameSync(`${keptAt}.new`, keptAt);
};
keep();

const hostDeps = {
  signDevicePayload: (pem, payload) =>
    crypto.sign(null, Buffer.from(payload), crypto.createPrivateKey(pem)).toString("base64url"),
  publicKeyRawBase64UrlFromPem: (pem) =>
    crypto.createPublicKey(pem).export({ type: "spki", format: "der" }).subarray(12).toString("base64url"),
  loadDeviceAuthToken: ({ role }) => kept.tokens[role] ?? null,
  storeDeviceAuthToken: ({ role, token, scopes }) => {
    kept.tokens[role] = { token, scopes };
    keep();
  },
  clearDeviceAuthToken: ({ role }) => {
    delete kept.tokens[role];
    keep();
  },
};

const errorOf = (error) => ({
  message: error.message,
  code: error.gatewayCode ?? error.code,
  details: error.details,
  retryable: error.retryable,
});

let client;

function connect(options) {
  client?.stop();
  client = new GatewayClient({
    clientName: "cli",
    clientVersion: "1.0.0",
    mode: "cli",
    platform: "linux",
    role: "operator",
    deviceIdentity: kept.identity,
    ...options,
    hostDeps,
    onHelloOk: (hello) => tell({ hello }),
    onEvent: (event) => tell({ event }),
    onConnectError: (error) => tell({ connectError: errorOf(error) }),
    onClose: (code, reason) => tell({ closed: { code, reason } }),
    onGap: (gap) => tell({ gap }),
    onReconnectPaused: (paused) => tell({ paused }),
  });
  client.start();
}

async function request({ id, method, params, twice }) {
  const options = { timeoutMs: 30_000 };
  if (twice) {
    options.expectFinal = true;
    options.onAccepted = (accepted) => tell({ accepted: { id, payload: accepted } });
  }
  try {
    tell({ reply: { id, payload: await client.request(method, params, options) } });
  } catch (error) {
    tell({ reply: { id, error: errorOf(error) } });
  }
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  if (command.do === "connect") connect(command.options);
  else if (command.do === "request") void request(command);
  else if (command.do === "stop") {
    await client.stopAndWait();
    tell({ stopped: true });
  }
}
client?.stop();
