/**
 * Who this browser is: an Ed25519 key pair that never leaves it.
 *
 * The private key is made by WebCrypto as not extractable and kept in IndexedDB as a CryptoKey, so
 * no script, not even this one, can read its bytes. The device id is the SHA-256 of the public key.
 * Browsers give WebCrypto to secure pages only: https, or http on this very machine.
 */

const DATABASE = "clawgw";
const STORE = "identity";
const RECORD = "device";

/** This browser cannot hold a device key; `reason` says why. */
export class IdentityUnavailable extends Error {
  /** @param {"insecure"|"unsupported"|"storage"} reason @param {unknown} [cause] */
  constructor(reason, cause) {
    super(`no device identity: ${reason}`, { cause });
    this.reason = reason;
  }
}

/** The device: its id, its public key, and a signature on request. */
export class DeviceIdentity {
  /** @param {string} id @param {string} publicKey @param {CryptoKey} privateKey */
  constructor(id, publicKey, privateKey) {
    this.id = id;
    this.publicKey = publicKey;
    this.privateKey = privateKey;
  }

  /**
   * Sign one connect attempt (payload version 2: fields joined by `|`).
   * @param {{clientId: string, clientMode: string, role: string, scopes: string[], token: string,
   *   nonce: string}} claim `token` is the credential sent along, or empty
   * @param {number} signedAt milliseconds since the epoch
   * @returns {Promise<object>} the `device` member of the connect params
   */
  async sign(claim, signedAt) {
    const fields = [
      "v2", this.id, claim.clientId, claim.clientMode, claim.role, claim.scopes.join(","),
      String(signedAt), claim.token, claim.nonce,
    ];
    const bytes = new TextEncoder().encode(fields.join("|"));
    const signature = await crypto.subtle.sign("Ed25519", this.privateKey, bytes);
    return {
      id: this.id,
      publicKey: this.publicKey,
      signature: base64url(new Uint8Array(signature)),
      signedAt,
      nonce: claim.nonce,
    };
  }
}

/**
 * This browser's identity, made on the first visit.
 * @returns {Promise<DeviceIdentity>}
 * @throws {IdentityUnavailable} when the page is not secure, Ed25519 is unknown, or storage fails
 */
export async function loadIdentity() {
  if (!window.isSecureContext || !window.crypto?.subtle) throw new IdentityUnavailable("insecure");
  const pair = await storedPair();
  const raw = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", raw));
  return new DeviceIdentity(hex(digest), base64url(raw), pair.privateKey);
}

/**
 * The pair that is in the database afterwards. Two tabs may come here at once: the key is made
 * first, then one transaction either finds an older one or stores the new one, so both agree.
 * @returns {Promise<CryptoKeyPair>}
 */
async function storedPair() {
  const database = await openDatabase();
  try {
    const found = await inStore(database, "readonly", (store) => store.get(RECORD));
    if (found) return found;
    const made = await makePair();
    return await keepFirst(database, made);
  } finally {
    database.close();
  }
}

/** @returns {Promise<CryptoKeyPair>} */
async function makePair() {
  try {
    const pair = await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]);
    return /** @type {CryptoKeyPair} */ (pair);
  } catch (error) {
    throw new IdentityUnavailable("unsupported", error);
  }
}

/** @returns {Promise<IDBDatabase>} */
function openDatabase() {
  return new Promise((resolve, reject) => {
    /** @param {unknown} error */
    const fail = (error) => reject(new IdentityUnavailable("storage", error));
    try {
      const opening = indexedDB.open(DATABASE, 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
      opening.onsuccess = () => resolve(opening.result);
      opening.onerror = () => fail(opening.error);
    } catch (error) {
      fail(error);
    }
  });
}

/**
 * @param {IDBDatabase} database @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest} act
 * @returns {Promise<any>}
 */
function inStore(database, mode, act) {
  return new Promise((resolve, reject) => {
    const request = act(database.transaction(STORE, mode).objectStore(STORE));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(new IdentityUnavailable("storage", request.error));
  });
}

/**
 * @param {IDBDatabase} database @param {CryptoKeyPair} made
 * @returns {Promise<CryptoKeyPair>} the one that was there first
 */
function keepFirst(database, made) {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(STORE, "readwrite");
    const store = transaction.objectStore(STORE);
    let kept = made;
    const looking = store.get(RECORD);
    looking.onsuccess = () => {
      if (looking.result) kept = looking.result;
      else store.put(made, RECORD);
    };
    transaction.oncomplete = () => resolve(kept);
    transaction.onabort = () => reject(new IdentityUnavailable("storage", transaction.error));
  });
}

/** @param {Uint8Array} bytes @returns {string} */
function hex(bytes) {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {Uint8Array} bytes @returns {string} without padding */
function base64url(bytes) {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
