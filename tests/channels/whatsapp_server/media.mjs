// Files: WhatsApp keeps them encrypted on a web server; the key is in the message. A client uploads
// with a POST to a path that names the hash of what it uploads, and downloads from the path it was
// told. It insists on HTTPS, so the test makes a certificate for us.
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  hkdfSync,
  randomBytes,
} from "node:crypto";
import { createServer } from "node:https";
import { proto } from "baileys";

const MAC_BYTES = 10;
const SHOWN_BYTES = 1024 * 1024;

// what a kind of file is called where its keys are derived, and in a message
const KINDS = {
  image: { info: "WhatsApp Image Keys", part: "imageMessage" },
  video: { info: "WhatsApp Video Keys", part: "videoMessage" },
  audio: { info: "WhatsApp Audio Keys", part: "audioMessage" },
  document: { info: "WhatsApp Document Keys", part: "documentMessage" },
  sticker: { info: "WhatsApp Image Keys", part: "stickerMessage" },
};
const INFO = Object.fromEntries(Object.values(KINDS).map(({ info, part }) => [part, info]));

const sha256 = (data) => createHash("sha256").update(data).digest();
const urlSafe = (data) => data.toString("base64url");

function keysOf(mediaKey, info) {
  const bytes = Buffer.from(hkdfSync("sha256", mediaKey, Buffer.alloc(32), info, 112));
  return { iv: bytes.subarray(0, 16), key: bytes.subarray(16, 48), mac: bytes.subarray(48, 80) };
}

const macOf = ({ iv, mac }, sealed) =>
  createHmac("sha256", mac).update(iv).update(sealed).digest().subarray(0, MAC_BYTES);

export class MediaStore {
  auth = randomBytes(12).toString("hex");
  host = undefined; // where it listens
  #files = new Map();

  constructor({ key, cert, faults }) {
    this.faults = faults;
    this.server = createServer({ key, cert }, (request, response) =>
      this.#serve(request, response),
    );
  }

  /**
   * Encrypt a file and keep it, as a contact does who sends it: `kind` (image, video, audio,
   * document, sticker), `data` in base64, and whatever else the part of the message has
   * (`mimetype`, `caption`, `fileName`, `ptt`, …).
   */
  seal({ kind, data, ...rest }) {
    const { info, part } = KINDS[kind] ?? {};
    if (!part) throw new Error(`there are no files of kind ${JSON.stringify(kind)}`);
    const plain = Buffer.from(data, "base64");
    const mediaKey = randomBytes(32);
    const keys = keysOf(mediaKey, info);
    const cipher = createCipheriv("aes-256-cbc", keys.key, keys.iv);
    const sealed = Buffer.concat([cipher.update(plain), cipher.final()]);
    const stored = Buffer.concat([sealed, macOf(keys, sealed)]);
    const directPath = this.#keep(stored);
    return proto.Message.fromObject({
      [part]: {
        ...rest,
        url: `https://${this.host}${directPath}`,
        directPath,
        mediaKey,
        fileSha256: sha256(plain),
        fileEncSha256: sha256(stored),
        fileLength: plain.length,
        mediaKeyTimestamp: Math.floor(Date.now() / 1000),
      },
    });
  }

  /** What a phone finds that opens the file of a message; undefined if there is none in it. */
  open(part, message) {
    const info = INFO[part];
    if (!info) return undefined;
    const stored = this.#files.get(message.directPath);
    if (!stored) return { error: `there is nothing at ${message.directPath}` };
    const sealed = stored.subarray(0, -MAC_BYTES);
    const keys = keysOf(Buffer.from(message.mediaKey), info);
    if (!macOf(keys, sealed).equals(stored.subarray(-MAC_BYTES)))
      return { error: "its MAC is wrong" };
    const decipher = createDecipheriv("aes-256-cbc", keys.key, keys.iv);
    const plain = Buffer.concat([decipher.update(sealed), decipher.final()]);
    const digest = sha256(plain);
    if (!digest.equals(Buffer.from(message.fileSha256))) return { error: "its hash is wrong" };
    const shown = {
      length: plain.length,
      sha256: digest.toString("hex"),
      mimetype: message.mimetype,
      fileName: message.fileName || undefined,
    };
    return plain.length > SHOWN_BYTES ? shown : { ...shown, data: plain.toString("base64") };
  }

  #keep(stored) {
    const directPath = `/v/t62/${urlSafe(sha256(stored))}.enc`;
    this.#files.set(directPath, stored);
    return directPath;
  }

  async #serve(request, response) {
    const url = new URL(request.url, `https://${this.host}`);
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const { status, body } =
      request.method === "POST" ? this.#upload(url, Buffer.concat(chunks)) : this.#download(url);
    response.writeHead(status, { "content-length": body.length, connection: "close" }).end(body);
  }

  #upload(url, body) {
    const fault = this.faults.take("failUpload");
    const refuse = (status, error) => ({ status, body: Buffer.from(JSON.stringify({ error })) });
    if (fault) return refuse(fault.code ?? 500, "it was told to fail");
    if (url.searchParams.get("auth") !== this.auth) return refuse(401, "wrong auth");
    const named = decodeURIComponent(url.pathname.split("/").at(-1));
    if (named !== urlSafe(sha256(body))) return refuse(400, "another hash");
    const directPath = this.#keep(body);
    return {
      status: 200,
      body: Buffer.from(
        JSON.stringify({ url: `https://${this.host}${directPath}`, direct_path: directPath }),
      ),
    };
  }

  #download(url) {
    const fault = this.faults.take("failDownload");
    const body = fault ? undefined : this.#files.get(url.pathname);
    return { status: body ? 200 : (fault?.code ?? 404), body: body ?? Buffer.alloc(0) };
  }
}
