/** A map that remembers the last so many entries. */
export class Recent {
  constructor(limit) {
    this._limit = limit;
    this._entries = new Map();
  }

  get size() {
    return this._entries.size;
  }

  values() {
    return this._entries.values();
  }

  has(key) {
    return this._entries.has(key);
  }

  get(key) {
    return this._entries.get(key);
  }

  set(key, value) {
    this._entries.delete(key);
    this._entries.set(key, value);
    if (this._entries.size > this._limit) this._entries.delete(this._entries.keys().next().value);
  }
}
