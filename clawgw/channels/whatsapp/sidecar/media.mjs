/**
 * Fetching a file that came with a message: downloaded, decrypted, and put where the Gateway says.
 */

import { open, rename, rm } from "node:fs/promises";
import { downloadContentFromMessage, proto } from "baileys";
import { field } from "./outbound.mjs";
import { RpcError } from "./rpc.mjs";

const KINDS = {
  imageMessage: "image",
  videoMessage: "video",
  ptvMessage: "video",
  audioMessage: "audio",
  documentMessage: "document",
  stickerMessage: "sticker",
};
const GONE = new Set([403, 404, 410]);

/**
 * Fetch a file.
 *
 * @param params {handle, path, maxBytes}: `handle` as in the message it came with
 * @param download for tests: what downloads
 * @returns {path, size, mimetype}
 */
export async function fetchMedia(params, download = downloadContentFromMessage) {
  const { type, content } = field(params, "handle", "object");
  const path = field(params, "path", "string");
  const maxBytes = field(params, "maxBytes", "number");
  if (!Object.hasOwn(KINDS, type)) throw new RpcError("invalid", '"handle" is not one of ours');
  const media = proto.Message.decode(Buffer.from(String(content), "base64"))[type];
  if (!media?.mediaKey?.length) throw new RpcError("gone", "the message does not say how to decrypt its file");
  if (Number(media.fileLength ?? 0) > maxBytes) throw tooLarge(maxBytes);
  const temporary = `${path}.part`;
  try {
    const size = await write(temporary, await begin(media, KINDS[type], download), maxBytes);
    await rename(temporary, path);
    return { path, size, mimetype: media.mimetype || "application/octet-stream" };
  } finally {
    await rm(temporary, { force: true });
  }
}

async function begin(media, kind, download) {
  try {
    return await download(media, kind);
  } catch (error) {
    const status = error?.output?.statusCode;
    if (GONE.has(status)) throw new RpcError("gone", "WhatsApp does not have the file any more", { statusCode: status });
    throw error;
  }
}

async function write(path, stream, maxBytes) {
  const handle = await open(path, "w", 0o600);
  let size = 0;
  try {
    for await (const chunk of stream) {
      size += chunk.length;
      if (size > maxBytes) throw tooLarge(maxBytes);
      await handle.write(chunk);
    }
    await handle.sync();
  } finally {
    await handle.close();
    stream.destroy?.();
  }
  return size;
}

function tooLarge(maxBytes) {
  return new RpcError("tooLarge", `the file is larger than ${maxBytes} bytes`);
}
