// Preloaded (`node --import …/trust.mjs sidecar.mjs`) into a program that uses Baileys, so that it
// believes the simulated server's certificates. Baileys checks them against a constant of its own;
// this sets the constant. That way the program itself needs no switch that makes it trust others,
// and runs in tests as it runs for users. Programs without Baileys are left alone.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { rootKeys } from "./root.mjs";

function baileysOf(program) {
  try {
    return pathToFileURL(createRequire(pathToFileURL(program)).resolve("baileys"));
  } catch {
    return undefined;
  }
}

const baileys = process.argv[1] && baileysOf(process.argv[1]);
if (baileys) {
  const { WA_CERT_DETAILS } = await import(new URL("./Defaults/index.js", baileys));
  WA_CERT_DETAILS.PUBLIC_KEY = rootKeys().public;
}
