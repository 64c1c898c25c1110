// The credentials of the bare client, in one file that is replaced as a whole whenever they change,
// so that a killed client comes back as what it was.
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { BufferJSON, initAuthCreds } from "baileys";

/** The state Baileys wants, kept in `path`, and what to call when the credentials have changed. */
export function credentialsIn(path) {
  const kept = existsSync(path)
    ? JSON.parse(readFileSync(path, "utf8"), BufferJSON.reviver)
    : { creds: initAuthCreds(), keys: {} };
  const keep = () => {
    writeFileSync(`${path}.new`, JSON.stringify(kept, BufferJSON.replacer));
    renameSync(`${path}.new`, path);
  };
  const get = async (type, ids) =>
    Object.fromEntries(ids.map((id) => [id, kept.keys[type]?.[id]]).filter(([, value]) => value));
  const set = async (changes) => {
    for (const [type, values] of Object.entries(changes)) {
      kept.keys[type] = { ...kept.keys[type], ...values };
    }
    keep();
  };
  return { state: { creds: kept.creds, keys: { get, set } }, keep };
}
