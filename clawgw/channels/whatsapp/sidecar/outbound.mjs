/**
 * What the Gateway wants sent, as Baileys' `sendMessage` takes it.
 */

import { RpcError } from "./rpc.mjs";

const KINDS = new Set(["image", "video", "audio", "document", "sticker"]);
const JID = /^[0-9A-Za-z._:-]+@(s\.whatsapp\.net|lid|g\.us)$/;
const MESSAGE_ID = /^[0-9A-F]{16,64}$/;

/** A field of a request, checked; the error names it. */
export function field(params, name, type, optional = false) {
  const value = params[name];
  if (value === undefined || value === null) {
    if (optional) return undefined;
    throw new RpcError("invalid", `"${name}" is missing; a ${type} was expected`);
  }
  const actual = Array.isArray(value) ? "array" : typeof value;
  if (actual !== type || (type === "string" && value === "" && !optional))
    throw new RpcError("invalid", `"${name}" is not a ${type} with something in it`);
  return value;
}

export function pathField(params, name) {
  const path = field(params, name, "string");
  if (!path.startsWith("/")) throw new RpcError("invalid", `"${name}" is no absolute path`);
  return path;
}

export function jidField(params, name) {
  const jid = field(params, name, "string");
  if (!JID.test(jid)) throw new RpcError("invalid", `"${name}" is no address of WhatsApp: ${jid.slice(0, 80)}`);
  return jid;
}

export function idField(params, name) {
  const id = field(params, name, "string");
  if (!MESSAGE_ID.test(id)) throw new RpcError("invalid", `"${name}" is no message id: 16 to 64 upper-case hex digits`);
  return id;
}

/** The content of a message that `send` describes. */
export function contentOf(params) {
  const text = field(params, "text", "string", true) ?? "";
  const mentions = field(params, "mentions", "array", true) ?? [];
  const extra = mentions.length ? { mentions } : {};
  if (params.poll) return { poll: pollOf(params.poll) };
  if (params.media) return { ...mediaOf(params.media, text), ...extra };
  if (!text) throw new RpcError("invalid", '"text" is empty, and there is neither "media" nor "poll"');
  const words = { text, linkPreview: null, ...extra }; // nobody has asked us to visit what it names
  return params.edit ? { ...words, edit: keyOf({ ...params.edit, fromMe: true }, params.to) } : words;
}

function pollOf(poll) {
  const values = field(poll, "options", "array");
  return {
    name: field(poll, "question", "string"),
    values: values.map(String),
    selectableCount: field(poll, "selectable", "number", true) ?? 1,
  };
}

function mediaOf(media, caption) {
  const kind = field(media, "kind", "string");
  if (!KINDS.has(kind)) throw new RpcError("invalid", `"media.kind" is none of ${[...KINDS].join(", ")}`);
  const content = { [kind]: { url: pathField(media, "path") }, mimetype: field(media, "mimetype", "string") };
  if (kind === "document") content.fileName = field(media, "name", "string", true) ?? "file";
  if (kind === "audio") {
    content.ptt = Boolean(media.voice);
    // WhatsApp plays a voice note only if it is told the codec.
    if (content.mimetype === "audio/ogg") content.mimetype = "audio/ogg; codecs=opus";
  } else if (kind !== "sticker" && caption) {
    content.caption = caption;
  }
  if (kind === "video" && media.animated) content.gifPlayback = true;
  return content;
}

/** A key of a message in a chat, as Baileys takes it. */
export function keyOf(target, chat) {
  return {
    remoteJid: chat,
    id: field(target, "id", "string"),
    fromMe: Boolean(target.fromMe),
    ...(target.participant ? { participant: target.participant } : {}),
  };
}
