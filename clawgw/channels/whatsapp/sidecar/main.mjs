/**
 * The sidecar: one WhatsApp session behind JSON-RPC on standard input and output. See README.md.
 */

import { errorWords, makeLogger, silenceConsole } from "./log.mjs";
import { keepSessionsWhole } from "./ratchet.mjs";
import { serve } from "./rpc.mjs";
import { Session } from "./session.mjs";
import { verifySignatures } from "./verify.mjs";

const STOP_MS = 3000;

silenceConsole();
verifySignatures();
keepSessionsWhole();
process.umask(0o077);

const log = makeLogger(process.env.CLAWGW_WHATSAPP_LOG);
let ending = false;

async function end(reason, code = 0) {
  if (ending) return;
  ending = true;
  log.info(`ending: ${reason}`);
  setTimeout(() => process.exit(code), STOP_MS).unref();
  await session.stop().catch((error) => log.error(error, "while ending"));
  process.exit(code);
}

function fatal(reason) {
  log.error(reason);
  process.exit(1); // at once: what is not stored must not be acknowledged
}

const session = new Session({ notify: (...args) => rpc.notify(...args), log, onFatal: fatal });
const methods = {};
for (const name of [
  "start",
  "login",
  "cancelLogin",
  "logout",
  "confirm",
  "send",
  "react",
  "read",
  "presence",
  "fetchMedia",
  "resolve",
  "group",
  "status",
])
  methods[name] = (params) => session[name](params);

const rpc = serve(process.stdin, process.stdout, methods, { onEnd: end, describe: errorWords });

process.on("SIGTERM", () => end("it was told to"));
process.on("SIGINT", () => end("it was told to"));
process.on("unhandledRejection", (error) => log.warn(error, "nobody waited for"));
process.on("uncaughtException", (error) => fatal(`unexpected: ${errorWords(error)}`));
