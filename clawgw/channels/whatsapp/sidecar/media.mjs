/**
 * Fetching a file that came with a message: downloaded, decrypted, and put where the Gateway says.
 *
 * A message says where its file is, and its writer may say anything there. So only the path is taken
 * from it; the host is the one that WhatsApp's server names.
 */

import { createHash } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { downloadContentFromMessage, proto } from "baileys";
import { MEDIA } from "./inbound.mjs";
import { field, pathField } from "./outbound.mjs";
import { RpcError } from "./rpc.mjs";

const GONE = new Set([403, 404, 410]);
const HOST = ".whatsapp.net";
const LONGEST_MS = 160_000;

/**
 * Fetch a file.
 *
 * @param params {handle, path, maxBytes}: `handle` as in the message it came with
 * @param host where WhatsApp keeps files
 * @param download for tests: what downloads
 * @returns {path, size, mimetype}
 */
export async function fetchMedia(params, host, download = downloadContentFromMessage) {
  const { type, content } = field(params, "handle", "object");
  const path = pathField(params, "path");
  const maxBytes = field(params, "maxBytes", "number");
  if (!Object.hasOwn(MEDIA, type)) throw new RpcError("invalid", '"handle" is not one of ours');
  const media = proto.Message.decode(Buffer.from(String(content), "base64"))[type];
  if (!media?.mediaKey?.length) throw new RpcError("gone", "the message does not say how to decrypt its file");
  if (Number(media.fileLength ?? 0) > maxBytes) throw tooLarge(maxBytes);
  const temporary = `${path}.part`;
  try {
    const stream = await begin(media, MEDIA[type], host, download);
    const { size, hash } = await write(temporary, stream, maxBytes);
    if (media.fileSha256?.length && !hash.equals(media.fileSha256))
      throw new RpcError("failed", "the file that came is not the one that was sent");
    await rename(temporary, path);
    return { path, size, mimetype: media.mimetype || "application/octet-stream" };
  } finally {
    await rm(temporary, { force: true });
  }
}

async function begin(media, kind, host, download) {
  const directPath = pathOf(media);
  if (!directPath) throw new RpcError("gone", "the message does not say where its file is");
  try {
    return await download({ mediaKey: media.mediaKey, directPath }, kind, { host });
  } catch (error) {
    const status = error?.output?.statusCode;
    if (GONE.has(status)) throw new RpcError("gone", "WhatsApp does not have the file any more", { statusCode: status });
    throw error;
  }
}

function pathOf({ directPath, url }) {
  if (directPath) return directPath.startsWith("/") ? directPath : null; // "@elsewhere" is another host
  const parsed = URL.canParse(url ?? "") ? new URL(url) : null;
  return parsed?.hostname.endsWith(HOST) ? parsed.pathname + parsed.search : null;
}

async function write(path, stream, maxBytes) {
  const handle = await open(path, "w", 0o600);
  const hash = createHash("sha256");
  const limit = setTimeout(() => stream.destroy?.(new Error("the file did not come in time")), LONGEST_MS);
  let size = 0;
  try {
    for await (const chunk of stream) {
      size += chunk.length;
      if (size > maxBytes) throw tooLarge(maxBytes);
      hash.update(chunk);
      await handle.write(chunk);
    }
    await handle.sync();
  } finally {
    clearTimeout(limit);
    await handle.close();
    stream.destroy?.();
  }
  return { size, hash: hash.digest() };
}

function tooLarge(maxBytes) {
  return new RpcError("tooLarge", `the file is larger than ${maxBytes} bytes`);
}
