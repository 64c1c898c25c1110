/**
 * What this browser remembers between visits, in localStorage under one prefix.
 *
 * A browser may forbid storage (private mode, policy). The page then works for as long as it is
 * open: values live in memory only.
 */

const PREFIX = "clawgw.";

/** A small string store. */
export class BrowserStorage {
  /** @param {Storage|null} [backend] null keeps everything in memory */
  constructor(backend = usableLocalStorage()) {
    this.backend = backend;
    /** @type {Map<string, string>} */
    this.memory = new Map();
  }

  /** @param {string} name @returns {string|null} */
  read(name) {
    if (!this.backend) return this.memory.get(name) ?? null;
    return this.backend.getItem(PREFIX + name);
  }

  /** @param {string} name @param {string|null} value null forgets it */
  write(name, value) {
    if (value === null) this.memory.delete(name);
    else this.memory.set(name, value);
    if (!this.backend) return;
    try {
      if (value === null) this.backend.removeItem(PREFIX + name);
      else this.backend.setItem(PREFIX + name, value);
    } catch {
      this.backend = null; // full or withdrawn: go on in memory
    }
  }

  /** @param {string} start @returns {string[]} the names that begin with it */
  names(start) {
    const all = this.backend
      ? Object.keys(this.backend)
          .filter((key) => key.startsWith(PREFIX))
          .map((key) => key.slice(PREFIX.length))
      : [...this.memory.keys()];
    return all.filter((name) => name.startsWith(start));
  }
}

/** @returns {Storage|null} */
function usableLocalStorage() {
  try {
    const storage = window.localStorage;
    storage.setItem(`${PREFIX}probe`, "1");
    storage.removeItem(`${PREFIX}probe`);
    return storage;
  } catch {
    return null;
  }
}
