// Writes operations.json: the requests the Discord adapter makes, as JSON Schema.
//
// The source is the npm package `discord-api-spec`, which is generated daily from the OpenAPI
// description Discord publishes (MIT, see LICENSE). Only structure is kept. To write it anew:
//
//     npm install && node extract.mjs
//
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import * as spec from "discord-api-spec/zod";

const OPERATIONS = [
  ["get", "/applications/@me"],
  ["get", "/channels/{channel_id}"],
  ["get", "/channels/{channel_id}/messages"],
  ["get", "/channels/{channel_id}/messages/{message_id}"],
  ["get", "/gateway/bot"],
  ["get", "/guilds/{guild_id}"],
  ["get", "/users/@me"],
  ["put", "/applications/{application_id}/commands"],
  ["put", "/channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me"],
  ["delete", "/channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me"],
  ["delete", "/channels/{channel_id}/messages/{message_id}"],
  ["patch", "/channels/{channel_id}/messages/{message_id}"],
  ["patch", "/webhooks/{webhook_id}/{webhook_token}/messages/@original"],
  ["post", "/channels/{channel_id}/messages"],
  ["post", "/channels/{channel_id}/typing"],
  ["post", "/interactions/{interaction_id}/{interaction_token}/callback"],
  ["post", "/users/@me/channels"],
  ["post", "/webhooks/{webhook_id}/{webhook_token}"],
];

// The request body and the query of each operation are named in the package's TypeScript types.
const TYPES = readFileSync(fileURLToPath(import.meta.resolve("discord-api-spec")).replace(/js$/, "ts"), "utf8");
const PATHS = TYPES.slice(TYPES.indexOf("export interface Paths {"));

function operationText(method, path) {
  const start = PATHS.indexOf(`\n  "${path}": {\n`);
  if (start < 0) throw new Error(`no such path: ${path}`);
  const ofPath = PATHS.slice(start, PATHS.indexOf("\n  };\n", start));
  const at = ofPath.indexOf(`\n    ${method}: {\n`);
  if (at < 0) throw new Error(`no such operation: ${method} ${path}`);
  return ofPath.slice(at, ofPath.indexOf("\n    };", at));
}

const query = (text) =>
  Object.fromEntries(
    [...(/query\?: \{\n([^}]*)\}/.exec(text)?.[1] ?? "").matchAll(/(\w+)(\??): ([^;]+);/g)].map(
      ([, name, optional, type]) => [name, { type, required: optional === "" }],
    ),
  );

function body(text) {
  const type = /\n {6}requestBody\??:\s*([\s\S]*?);\n {6}responses/.exec(text)[1];
  if (type === "undefined") return null;
  const list = /^(\w+)\[\]( \| null)?$/.exec(type);
  if (list) return { type: "array", items: reference(list[1]) };
  const names = type.split("|").map((name) => name.trim()).filter(Boolean);
  return names.length === 1 ? reference(names[0]) : { anyOf: names.map(reference) };
}

const wanted = [];
function reference(name) {
  if (!spec[`${name}Schema`]) throw new Error(`no schema of ${name}`);
  wanted.push(name);
  return { $ref: `#/$defs/${name}` };
}

const registry = z.registry();
for (const [name, schema] of Object.entries(spec))
  if (name.endsWith("Schema") && schema?._zod) registry.add(schema, { id: name.slice(0, -6) });
const { schemas } = z.toJSONSchema(registry, { io: "input", unrepresentable: "any", uri: (id) => `#/$defs/${id}` });

function plain(schema) {
  if (Array.isArray(schema)) return schema.map(plain);
  if (schema === null || typeof schema !== "object") return schema;
  return Object.fromEntries(
    Object.entries(schema)
      .filter(([key]) => !["$schema", "$id", "id"].includes(key) || typeof schema[key] === "object")
      .map(([key, value]) => [key, plain(value)]),
  );
}

const operations = Object.fromEntries(
  OPERATIONS.map(([method, path]) => {
    const text = operationText(method, path);
    return [`${method.toUpperCase()} ${path}`, { query: query(text), body: body(text) }];
  }),
);

const kept = {};
while (wanted.length) {
  const name = wanted.pop();
  if (kept[name]) continue;
  kept[name] = plain(schemas[name]);
  for (const [, next] of JSON.stringify(kept[name]).matchAll(/"#\/\$defs\/(\w+)"/g)) wanted.push(next);
}
const sorted = Object.fromEntries(Object.keys(kept).sort().map((name) => [name, kept[name]]));
const version = JSON.parse(readFileSync(new URL("./package.json", import.meta.url))).dependencies["discord-api-spec"];
const source = `npm package discord-api-spec ${version}, MIT, Copyright 2023 Discord, 2026 RiskyMH; made by extract.mjs`;
// One operation, one definition a line: a newer version then shows as a readable difference.
const lines = (entries) => Object.entries(entries).map(([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)}`).join(",\n");
writeFileSync(
  new URL("./operations.json", import.meta.url),
  `{\n "source": ${JSON.stringify(source)},\n "operations": {\n${lines(operations)}\n },\n "$defs": {\n${lines(sorted)}\n }\n}\n`,
);
