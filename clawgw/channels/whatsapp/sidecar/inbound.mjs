/**
 * What a received message says, as the Gateway is told: plain JSON, described in README.md.
 *
 * Nothing here talks to anybody. What a person would see as a message becomes one; what WhatsApp's
 * devices say to each other (keys, history, settings) becomes null; what we have no words for becomes
 * a note in brackets that names it.
 */

import { areJidsSameUser, isJidGroup, jidNormalizedUser, normalizeMessageContent, proto } from "baileys";

const { Type } = proto.Message.ProtocolMessage;

/** The kinds of message that are files, and what they are called here. */
export const MEDIA = {
  imageMessage: "image",
  videoMessage: "video",
  ptvMessage: "video",
  audioMessage: "audio",
  documentMessage: "document",
  stickerMessage: "sticker",
};

/** What accompanies a message and is none. */
const COMPANIONS = new Set([
  "senderKeyDistributionMessage",
  "fastRatchetKeySenderKeyDistributionMessage",
  "messageContextInfo",
  "protocolMessage",
  "deviceSentMessage",
  "keepInChatMessage",
  "encReactionMessage",
  "placeholderMessage",
  "stickerSyncRmrMessage",
]);

const UNREADABLE = { kind: "message", text: "[a message that cannot be read here]" };

/**
 * Describe a message. Its writer may have put anything into it: what cannot be read becomes a note,
 * because an error would have WhatsApp deliver it again and again.
 *
 * @param key Baileys' key of it, as in the stanza
 * @param content the decrypted proto.Message, null where it is none
 * @param meta {timestamp, pushName, offline}
 * @param self {id, lid} of the account
 * @param phoneOf async: the phone's jid that belongs to a lid, or null
 * @returns the message without its number, or null if there is nothing to tell
 */
export async function describe(key, content, meta, self, phoneOf) {
  const body = content === null ? UNREADABLE : readable(content, self);
  if (!body) return null;
  const group = isJidGroup(key.remoteJid) === true;
  const sender = senderOf(key, group, self);
  const address = async (jid, alt) => {
    const bare = jidNormalizedUser(jid);
    if (!bare.endsWith("@lid")) return { jid: bare };
    const phone = alt ? jidNormalizedUser(alt) : await phoneOf(bare);
    return phone ? { jid: phone, lid: bare } : { jid: bare, lid: bare };
  };
  const who = await address(sender.jid, sender.alt);
  const chat = group ? { jid: key.remoteJid } : await address(key.remoteJid, key.fromMe ? null : key.remoteJidAlt);
  return {
    key: compact({
      id: key.id,
      chat: jidNormalizedUser(key.remoteJid),
      participant: key.participant ? jidNormalizedUser(key.participant) : undefined,
      fromMe: key.fromMe || undefined,
    }),
    chat: chat.jid,
    group,
    sender: compact({ ...who, phone: phoneNumber(who.jid), name: meta.pushName || undefined }),
    timestamp: Number(meta.timestamp) || 0,
    offline: Boolean(meta.offline),
    ...body,
  };
}

function senderOf(key, group, self) {
  if (key.fromMe) return { jid: self.id };
  if (group) return { jid: key.participant, alt: key.participantAlt };
  return { jid: key.participant || key.remoteJid, alt: key.participantAlt || key.remoteJidAlt };
}

/** "+4915112345678" of a phone's jid. */
export function phoneNumber(jid) {
  const digits = /^(\d+)(?::\d+)?@s\.whatsapp\.net$/.exec(jid ?? "")?.[1];
  return digits ? `+${digits}` : undefined;
}

function readable(content, self) {
  try {
    return say(normalizeMessageContent(content), self);
  } catch {
    return UNREADABLE;
  }
}

function say(content, self) {
  if (!content) return null;
  if (content.protocolMessage) return sayProtocol(content.protocolMessage, self);
  if (content.reactionMessage) {
    const { key, text } = content.reactionMessage;
    return { kind: "reaction", text: text ?? "", target: target(key, self) };
  }
  for (const [name, kind] of Object.entries(MEDIA)) {
    if (content[name]) return sayMedia(name, kind, content[name], self);
  }
  const text = content.conversation || content.extendedTextMessage?.text;
  if (text) return { kind: "message", text, ...context(content.extendedTextMessage, self) };
  return sayOther(content, self);
}

function sayProtocol(message, self) {
  if (message.type === Type.REVOKE) return { kind: "revoke", text: "", target: target(message.key, self) };
  if (message.type === Type.MESSAGE_EDIT) {
    const edited = say(normalizeMessageContent(message.editedMessage), self);
    if (!edited) return null;
    return { ...edited, kind: "edit", target: target(message.key, self) };
  }
  return null;
}

function sayMedia(name, kind, media, self) {
  const handle = {
    type: name,
    content: Buffer.from(proto.Message.encode({ [name]: bare(media) }).finish()).toString("base64"),
  };
  return {
    kind: "message",
    text: media.caption ?? "",
    media: compact({
      kind,
      mimetype: media.mimetype || "application/octet-stream",
      size: Number(media.fileLength ?? 0),
      name: media.fileName || undefined,
      voice: media.ptt || undefined,
      animated: media.gifPlayback || media.isAnimated || undefined,
      seconds: media.seconds || undefined,
      emoji: media.accessibilityLabel || undefined,
      handle,
    }),
    ...context(media, self),
  };
}

/** What is needed to fetch a file, and no thumbnail. */
function bare({ url, directPath, mediaKey, fileEncSha256, fileSha256, fileLength, mimetype }) {
  return { url, directPath, mediaKey, fileEncSha256, fileSha256, fileLength, mimetype };
}

function sayOther(content, self) {
  const name = Object.keys(content).find((each) => content[each] != null && !COMPANIONS.has(each));
  if (!name) return null;
  const part = content[name];
  const words = OTHER[name]?.(part);
  return {
    kind: "message",
    text: words ?? `[${spaced(name)}]`,
    ...context(part, self),
  };
}

const poll = (message) =>
  `[poll: ${message.name ?? ""} (${(message.options ?? []).map((each) => each.optionName).join(", ")})]`;
const place = (message) => {
  const where = [message.name, message.address].filter(Boolean).join(", ");
  const point = `${message.degreesLatitude},${message.degreesLongitude}`;
  return `[location ${point}${where ? `: ${where}` : ""}]`;
};
const contact = (message) => {
  const numbers = [...(message.vcard ?? "").matchAll(/^(?:item\d+\.)?TEL[^:\r\n]*:(.+?)\r?$/gm)].map((found) => found[1]);
  return [message.displayName, ...numbers].filter(Boolean).join(" ");
};

/** How the other kinds of message read. What a person chose from a list or a button is what they say. */
const OTHER = {
  pollCreationMessage: poll,
  pollCreationMessageV2: poll,
  pollCreationMessageV3: poll,
  pollUpdateMessage: () => "[vote in a poll]",
  locationMessage: place,
  liveLocationMessage: (message) => place(message).replace("[location", "[live location"),
  contactMessage: (message) => `[contact: ${contact(message)}]`,
  contactsArrayMessage: (message) => `[contacts: ${(message.contacts ?? []).map(contact).join("; ")}]`,
  eventMessage: (message) => `[event: ${message.name ?? ""}]`,
  groupInviteMessage: (message) => `[invitation to the group ${message.groupName ?? ""}]`,
  call: () => "[call]",
  buttonsResponseMessage: (message) => message.selectedDisplayText || message.selectedButtonId || "[button]",
  templateButtonReplyMessage: (message) => message.selectedDisplayText || message.selectedId || "[button]",
  listResponseMessage: (message) => message.title || message.singleSelectReply?.selectedRowId || "[list entry]",
  interactiveResponseMessage: (message) => message.body?.text || "[form answered]",
  albumMessage: (message) =>
    `[album: ${message.expectedImageCount ?? 0} images, ${message.expectedVideoCount ?? 0} videos]`,
};

function spaced(name) {
  return name
    .replace(/Message(V\d+)?$/, "")
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .toLowerCase();
}

function context(part, self) {
  const info = part?.contextInfo;
  if (!info) return {};
  const mentions = (info.mentionedJid ?? []).map((jid) => jidNormalizedUser(jid));
  return compact({
    mentions: mentions.length ? mentions : undefined,
    mentionsMe: mentions.some((jid) => isSelf(jid, self)) || undefined,
    quoted: info.stanzaId ? quoted(info, self) : undefined,
    forwarded: info.isForwarded || undefined,
  });
}

function quoted(info, self) {
  const content = say(normalizeMessageContent(info.quotedMessage), self);
  return compact({
    id: info.stanzaId,
    sender: info.participant ? jidNormalizedUser(info.participant) : undefined,
    fromMe: isSelf(info.participant, self) || undefined,
    text: content ? content.text || (content.media ? `[${content.media.kind}]` : "") : "",
  });
}

function target(key, self) {
  const participant = key?.participant ? jidNormalizedUser(key.participant) : undefined;
  return compact({
    id: key?.id ?? "",
    participant,
    // In a key inside a message `fromMe` is the sender's view; the participant says who it was.
    fromMe: participant ? isSelf(participant, self) || undefined : undefined,
  });
}

export function isSelf(jid, self) {
  return Boolean(jid) && (areJidsSameUser(jid, self.id) || Boolean(self.lid && areJidsSameUser(jid, self.lid)));
}

function compact(object) {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}
