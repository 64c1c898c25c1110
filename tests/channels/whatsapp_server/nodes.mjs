// Small help with binary nodes: `{tag, attrs, content}`, content being bytes, text or a list of
// nodes.

export const SERVER = "@s.whatsapp.net";

/** A node. */
export const node = (tag, attrs = {}, content = undefined) => ({ tag, attrs, content });

/** The children, none for bytes or text. */
export const children = (parent, tag = undefined) => {
  const all = Array.isArray(parent?.content) ? parent.content : [];
  return tag === undefined ? all : all.filter((one) => one.tag === tag);
};

/** The first child of that tag. */
export const child = (parent, tag) => children(parent, tag)[0];

/** The bytes of the first child of that tag. Throws when there are none. */
export function bytesOf(parent, tag) {
  const content = child(parent, tag)?.content;
  if (!content || Array.isArray(content))
    throw new Error(`<${parent?.tag}> has no bytes in <${tag}>`);
  return Buffer.from(content);
}

/** An unsigned number, big-endian, in the first child of that tag. */
export const numberOf = (parent, tag) => {
  const bytes = bytesOf(parent, tag);
  return bytes.readUIntBE(0, bytes.length);
};

/** A number as `length` bytes, big-endian. */
export function bytesFor(number, length) {
  const bytes = Buffer.alloc(length);
  bytes.writeUIntBE(number, 0, length);
  return bytes;
}

/** Seconds since 1970, as the attribute `t` has them. */
export const now = () => String(Math.floor(Date.now() / 1000));

/** The parts of a JID: `user`, `device` (0 for the phone), `server`. */
export function parseJid(jid) {
  const found = /^(?<user>[^@:_]*)(?:_\d+)?(?::(?<device>\d+))?@(?<server>[^@]+)$/.exec(jid ?? "");
  if (!found) throw new Error(`${JSON.stringify(jid)} is no JID`);
  const { user, device, server } = found.groups;
  return { user, device: Number(device ?? 0), server };
}
