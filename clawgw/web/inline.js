/**
 * Markdown inside a line: emphasis, code, links, line breaks.
 *
 * The text is cut into tokens; emphasis and brackets are paired the way CommonMark pairs them (a
 * stack of delimiters with a floor per kind, so that hostile input stays linear); then the tokens
 * become DOM nodes. Only http, https and mailto links are made, everything else stays text.
 */

import { el } from "./dom.js";

const MAX_NESTING = 32;
const LINK_PROTOCOLS = new Set(["http:", "https:", "mailto:"]);
const ESCAPABLE = /[!-/:-@[-`{-~]/;
const SPECIAL = /[\\`*_~[\]!<&\n]|https?:\/\//g;
const BARE_URL = /https?:\/\/[^\s<>"'`\\]+/y;
const ANGLE_LINK = /<([a-z][a-z0-9+.-]{1,31}:[^\s<>]*|[^\s<>@]{1,64}@[^\s<>@]{1,255})>/iy;
const LINK_TARGET = new RegExp(
  // the address, with one level of parentheses, then perhaps a title, which is not shown
  String.raw`\(\s{0,3}(?:<([^<>\n]*)>|([^\s()]*(?:\([^\s()]*\)[^\s()]*)*))`
    + String.raw`(?:\s{1,3}(?:"[^"]*"|'[^']*'))?\s{0,3}\)`,
  "y",
);
const ENTITY = /&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]{2,6}));/iy;
/** @type {Record<string, string>} */
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };

/**
 * @typedef {{type: "text", text: string}|{type: "code", text: string}|{type: "break"}
 *   |{type: "link", href: string, text: string}
 *   |{type: "bracket", image: boolean, active: boolean, href?: string, delimiters: number}
 *   |{type: "close"}
 *   |{type: "run", char: string, count: number, length: number, canOpen: boolean,
 *     canClose: boolean, opens: string[], closes: string[]}} Token
 */

/**
 * Markdown text as nodes.
 * @param {string} text one paragraph, heading or cell
 * @returns {DocumentFragment}
 */
export function renderInline(text) {
  const scanner = new Scanner(text);
  scanner.scan();
  pairRuns(scanner.runs);
  return build(scanner.tokens);
}

/**
 * The address a link may lead to.
 * @param {string} raw as written in the text
 * @returns {string|null} null when its scheme is not http, https or mailto
 */
export function safeHref(raw) {
  try {
    const url = new URL(raw.trim());
    return LINK_PROTOCOLS.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** Cuts text into tokens, and pairs brackets on the way. */
class Scanner {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.at = 0;
    /** @type {Token[]} */
    this.tokens = [];
    /** @type {Extract<Token, {type: "run"}>[]} runs that may still be paired */
    this.runs = [];
    /** @type {Extract<Token, {type: "bracket"}>[]} */
    this.brackets = [];
    /** @type {Set<number>} lengths of backtick runs that have no partner further on */
    this.lonelyTicks = new Set();
  }

  scan() {
    while (this.at < this.text.length) {
      SPECIAL.lastIndex = this.at;
      const next = SPECIAL.exec(this.text)?.index ?? this.text.length;
      if (next > this.at) this.push(this.text.slice(this.at, next));
      this.at = next;
      if (next < this.text.length) this.special(this.text[next]);
    }
  }

  /** @param {string} text */
  push(text) {
    const last = this.tokens.at(-1);
    if (last?.type === "text") last.text += text;
    else this.tokens.push({ type: "text", text });
  }

  /** Take some characters as they are. @param {number} count */
  literal(count) {
    this.push(this.text.slice(this.at, this.at + count));
    this.at += count;
  }

  /** @param {string} char */
  special(char) {
    if (char === "\\") this.escape();
    else if (char === "`") this.code();
    else if (char === "\n") this.lineBreak();
    else if (char === "*" || char === "_" || char === "~") this.run(char);
    else if (char === "[") this.openBracket(1);
    else if (char === "!" && this.text[this.at + 1] === "[") this.openBracket(2);
    else if (char === "]") this.closeBracket();
    else if (char === "<") this.angle();
    else if (char === "&") this.entity();
    else if (char === "h") this.bareUrl();
    else this.literal(1);
  }

  escape() {
    const next = this.text[this.at + 1] ?? "";
    if (next === "\n") {
      this.at += 1;
      this.lineBreak();
    } else if (ESCAPABLE.test(next)) {
      this.push(next);
      this.at += 2;
    } else {
      this.literal(1);
    }
  }

  /** A new line in a chat is meant as one, so every one becomes a break. */
  lineBreak() {
    const last = this.tokens.at(-1);
    if (last?.type === "text") last.text = last.text.trimEnd();
    this.tokens.push({ type: "break" });
    this.at += 1;
    while (this.text[this.at] === " ") this.at += 1;
  }

  code() {
    const ticks = /`+/y;
    ticks.lastIndex = this.at;
    const fence = ticks.exec(this.text)?.[0] ?? "`";
    const start = this.at + fence.length;
    const end = this.lonelyTicks.has(fence.length) ? -1 : this.findTicks(fence, start);
    if (end < 0) {
      this.lonelyTicks.add(fence.length);
      this.literal(fence.length);
      return;
    }
    const body = this.text.slice(start, end).replaceAll("\n", " ");
    const padded = body.startsWith(" ") && body.endsWith(" ") && body.trim() !== "";
    this.tokens.push({ type: "code", text: padded ? body.slice(1, -1) : body });
    this.at = end + fence.length;
  }

  /** @param {string} fence @param {number} from @returns {number} */
  findTicks(fence, from) {
    let end = this.text.indexOf(fence, from);
    while (end >= 0) {
      let after = end + fence.length;
      if (this.text[after] !== "`") return end;
      while (this.text[after] === "`") after += 1;
      end = this.text.indexOf(fence, after);
    }
    return -1;
  }

  /** @param {string} char */
  run(char) {
    let end = this.at;
    while (this.text[end] === char) end += 1;
    const count = end - this.at;
    const { canOpen, canClose } = flanking(char, this.text[this.at - 1], this.text[end]);
    if ((!canOpen && !canClose) || (char === "~" && count !== 2)) {
      this.literal(count);
      return;
    }
    /** @type {Extract<Token, {type: "run"}>} */
    const token = {
      type: "run", char, count, length: count, canOpen, canClose, opens: [], closes: [],
    };
    this.tokens.push(token);
    this.runs.push(token);
    this.at = end;
  }

  /** @param {number} length 1 for a link, 2 for an image */
  openBracket(length) {
    /** @type {Extract<Token, {type: "bracket"}>} */
    const token = {
      type: "bracket", image: length === 2, active: true, delimiters: this.runs.length,
    };
    this.tokens.push(token);
    this.brackets.push(token);
    this.at += length;
  }

  /** An image is shown as a link to it: this page loads nothing from elsewhere. */
  closeBracket() {
    const opener = this.brackets.pop();
    LINK_TARGET.lastIndex = this.at + 1;
    const target = opener?.active ? LINK_TARGET.exec(this.text) : null;
    const href = target && safeHref(target[1] ?? target[2]);
    if (!opener || !target || !href) {
      this.literal(1);
      return;
    }
    opener.href = href;
    pairRuns(this.runs.splice(opener.delimiters));
    this.tokens.push({ type: "close" });
    this.at = LINK_TARGET.lastIndex;
    if (!opener.image) this.closeOuterBrackets();
  }

  /** A link inside a link is not possible. */
  closeOuterBrackets() {
    for (let at = this.brackets.length - 1; at >= 0 && this.brackets[at].active; at -= 1) {
      this.brackets[at].active = false;
    }
  }

  angle() {
    ANGLE_LINK.lastIndex = this.at;
    const match = ANGLE_LINK.exec(this.text);
    const inside = match?.[1] ?? "";
    const href = match && safeHref(inside.includes(":") ? inside : `mailto:${inside}`);
    if (!match || !href) {
      this.literal(1);
      return;
    }
    this.tokens.push({ type: "link", href, text: inside });
    this.at += match[0].length;
  }

  entity() {
    ENTITY.lastIndex = this.at;
    const match = ENTITY.exec(this.text);
    const text = match && decodeEntity(match);
    if (!match || !text) {
      this.literal(1);
      return;
    }
    this.push(text);
    this.at += match[0].length;
  }

  bareUrl() {
    BARE_URL.lastIndex = this.at;
    const text = trimUrl(BARE_URL.exec(this.text)?.[0] ?? "");
    const inWord = /\w/.test(this.text[this.at - 1] ?? "");
    const href = inWord ? null : safeHref(text);
    if (!href) {
      this.literal(Math.max(1, text.length));
      return;
    }
    this.tokens.push({ type: "link", href, text });
    this.at += text.length;
  }
}

/** @param {RegExpExecArray} match @returns {string|null} */
function decodeEntity([, decimal, hexadecimal, name]) {
  if (name) return ENTITIES[name.toLowerCase()] ?? null;
  const code = decimal ? Number.parseInt(decimal, 10) : Number.parseInt(hexadecimal, 16);
  return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : null;
}

/** Punctuation at the end of an address belongs to the sentence. @param {string} url */
function trimUrl(url) {
  let end = url.length;
  let open = count(url, "(") - count(url, ")");
  while (end > 0) {
    const last = url[end - 1];
    if (last === ")" && open < 0) open += 1;
    else if (!".,;:!?*_~]".includes(last)) break;
    end -= 1;
  }
  return url.slice(0, end);
}

/** @param {string} text @param {string} char @returns {number} */
function count(text, char) {
  return text.split(char).length - 1;
}

/**
 * Whether a delimiter run may open or close, by what stands around it.
 * @param {string} char @param {string|undefined} before @param {string|undefined} after
 */
function flanking(char, before = " ", after = " ") {
  const spaceBefore = /\s/.test(before);
  const spaceAfter = /\s/.test(after);
  const punctuationBefore = /[\p{P}\p{S}]/u.test(before);
  const punctuationAfter = /[\p{P}\p{S}]/u.test(after);
  const left = !spaceAfter && (!punctuationAfter || spaceBefore || punctuationBefore);
  const right = !spaceBefore && (!punctuationBefore || spaceAfter || punctuationAfter);
  if (char !== "_") return { canOpen: left, canClose: right };
  return {
    canOpen: left && (!right || punctuationBefore),
    canClose: right && (!left || punctuationAfter),
  };
}

/**
 * Pair openers with closers; each run keeps what it opens and closes, the rest stays text.
 * @param {Extract<Token, {type: "run"}>[]} runs in order of appearance
 */
function pairRuns(runs) {
  /** @type {Extract<Token, {type: "run"}>[]} */
  const openers = [];
  /** @type {Map<string, number>} below this depth there is no opener for such a closer */
  const floors = new Map();
  for (const closer of runs) {
    while (closer.canClose && closer.count > 0) {
      const kind = `${closer.char}${closer.canOpen}${closer.length % 3}`;
      const floor = Math.min(floors.get(kind) ?? 0, openers.length);
      const at = findOpener(openers, closer, floor);
      if (at < 0) {
        floors.set(kind, openers.length);
        break;
      }
      pair(openers[at], closer);
      openers.length = openers[at].count > 0 ? at + 1 : at;
      for (const [other, depth] of floors) floors.set(other, Math.min(depth, openers.length));
    }
    if (closer.canOpen && closer.count > 0) openers.push(closer);
  }
}

/**
 * @param {Extract<Token, {type: "run"}>[]} openers @param {Extract<Token, {type: "run"}>} closer
 * @param {number} floor
 * @returns {number} the index of the nearest one that fits, or -1
 */
function findOpener(openers, closer, floor) {
  for (let at = openers.length - 1; at >= floor; at -= 1) {
    const opener = openers[at];
    const both = opener.canClose || closer.canOpen;
    const thirds = (opener.length + closer.length) % 3 === 0
      && (opener.length % 3 !== 0 || closer.length % 3 !== 0);
    if (opener.char === closer.char && !(both && thirds)) return at;
  }
  return -1;
}

/** @param {Extract<Token, {type: "run"}>} opener @param {Extract<Token, {type: "run"}>} closer */
function pair(opener, closer) {
  const width = opener.count >= 2 && closer.count >= 2 ? 2 : 1;
  const strong = closer.char === "~" ? "del" : "strong";
  const tag = width === 2 ? strong : "em";
  opener.opens.unshift(tag); // the innermost was found first
  closer.closes.push(tag);
  opener.count -= width;
  closer.count -= width;
}

/** @param {Token[]} tokens @returns {DocumentFragment} */
function build(tokens) {
  const builder = new Builder();
  for (const token of tokens) builder.add(token);
  return builder.root;
}

/** Turns tokens into nodes; what nests too deeply loses its markup, never its text. */
class Builder {
  constructor() {
    this.root = document.createDocumentFragment();
    /** @type {(Node|null)[]} null: an element left out */
    this.open = [];
    /** @type {Node} */
    this.top = this.root;
    this.links = 0;
  }

  /** @param {Token} token */
  add(token) {
    if (token.type === "text") this.text(token.text);
    else if (token.type === "code") this.leaf(el("code", { text: token.text }));
    else if (token.type === "break") this.leaf(el("br"));
    else if (token.type === "link") this.link(token);
    else if (token.type === "bracket") this.bracket(token);
    else if (token.type === "close") this.closeLink();
    else this.run(token);
  }

  /** @param {Node} node */
  leaf(node) {
    this.top.appendChild(node);
  }

  /** @param {string} text */
  text(text) {
    if (text) this.leaf(document.createTextNode(text));
  }

  /** @param {HTMLElement} element */
  enter(element) {
    if (this.open.length >= MAX_NESTING) {
      this.open.push(null);
      return;
    }
    this.leaf(element);
    this.open.push(element);
    this.top = element;
  }

  leave() {
    const element = this.open.pop();
    if (element?.parentNode) this.top = element.parentNode;
  }

  /** @param {Extract<Token, {type: "link"}>} token */
  link(token) {
    if (this.links > 0) this.text(token.text);
    else this.leaf(anchor(token.href, token.text));
  }

  /** @param {Extract<Token, {type: "bracket"}>} token */
  bracket(token) {
    if (token.href === undefined) {
      this.text(token.image ? "![" : "[");
      return;
    }
    this.links += 1;
    this.enter(this.links > 1 ? el("span") : anchor(token.href));
  }

  closeLink() {
    this.links -= 1;
    this.leave();
  }

  /** @param {Extract<Token, {type: "run"}>} token */
  run(token) {
    token.closes.forEach(() => this.leave());
    this.text(token.char.repeat(token.count));
    for (const tag of token.opens) this.enter(el(/** @type {"em"} */ (tag)));
  }
}

/** @param {string} href @param {string} [text] @returns {HTMLAnchorElement} */
function anchor(href, text = "") {
  return el("a", { text, attrs: { href, target: "_blank", rel: "noopener noreferrer" } });
}
