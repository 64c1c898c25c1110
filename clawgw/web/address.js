/**
 * What the address bar says: `#session=…` opens a session, `#token=…` brings the token.
 *
 * The part behind `#` never reaches a server or its log. A token is taken once and removed from the
 * address at once, so that it stays in no bookmark and no history.
 */

/** @returns {string|null} the token in the address, which is removed from it */
export function takeToken() {
  const parts = fragment();
  const token = parts.get("token");
  if (token === null) return null;
  parts.delete("token");
  replaceFragment(parts);
  return token || null;
}

/** @returns {string|null} the session the address names */
export function sessionInAddress() {
  return fragment().get("session") || null;
}

/** Name a session in the address. @param {string} key @param {boolean} remember for "back" */
export function setSessionInAddress(key, remember) {
  if (sessionInAddress() === key) return;
  const parts = fragment();
  parts.set("session", key);
  replaceFragment(parts, remember);
}

/** @returns {URLSearchParams} */
function fragment() {
  return new URLSearchParams(window.location.hash.slice(1));
}

/** @param {URLSearchParams} parts @param {boolean} [remember] */
function replaceFragment(parts, remember = false) {
  const text = parts.toString().replaceAll("%3A", ":");
  const url = window.location.pathname + window.location.search + (text ? `#${text}` : "");
  if (remember) window.history.pushState(null, "", url);
  else window.history.replaceState(null, "", url);
}
