/**
 * Markdown as DOM nodes, whole or while it is still being written.
 *
 * The text is cut into top-level blocks. A block other than the last cannot change any more when
 * text is appended, so a growing answer is parsed from the start of its last block only, and only
 * that block is drawn again. Nothing here ever makes HTML out of a string.
 */

import { copyButton, el } from "./dom.js";
import { renderInline } from "./inline.js";

const MAX_NESTING = 12;
const FENCE = /^ {0,3}(`{3,}(?=[^`]*$)|~{3,})\s*(.*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*))?$/;
const RULE = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(?:( +)(?=\S)| *$)/;
const UNDERLINE = /^ {0,3}(={3,}|-{3,})[ \t]*$/;
const TABLE_RULE = /^:?-+:?$/;
const TASK = /^\[([ xX])\] +/;

/**
 * @typedef {{type: "paragraph", text: string}
 *   | {type: "heading", level: number, text: string}
 *   | {type: "code", language: string, text: string}
 *   | {type: "rule"}
 *   | {type: "quote", blocks: Block[]}
 *   | {type: "list", start: number|null, loose: boolean, items: Block[][]}
 *   | {type: "table", align: string[], rows: string[][]}} Block
 * @typedef {{block: Block, next: number}} Taken `next` is the index of the line after the block
 */

/**
 * A whole text as nodes.
 * @param {string} text
 * @returns {DocumentFragment}
 */
export function renderMarkdown(text) {
  const fragment = document.createDocumentFragment();
  fragment.append(...parseBlocks(toLines(normalise(text)), 0).map(renderBlock));
  return fragment;
}

/** A text that grows, drawn into one element. */
export class MarkdownView {
  /** @param {HTMLElement} container is emptied and then owned by this view */
  constructor(container) {
    this.container = container;
    this.text = "";
    this.tailStart = 0; // where in the text the first block begins that may still change
    /** @type {{block: Block, node: HTMLElement}[]} the blocks from there on, as drawn */
    this.tail = [];
    this.clear();
  }

  /** Show this text; cheap when it continues the one before. @param {string} text */
  update(text) {
    const next = normalise(text);
    if (next === this.text) return;
    if (!next.startsWith(this.text)) this.clear();
    this.text = next;
    this.redrawTail();
  }

  clear() {
    this.container.replaceChildren();
    this.text = "";
    this.tailStart = 0;
    this.tail = [];
  }

  redrawTail() {
    const text = this.text.slice(this.tailStart);
    const lines = toLines(text);
    const starts = lineStarts(text, this.tailStart);
    const drawn = [];
    let settled = 0; // blocks that cannot change any more
    let settledEnd = this.tailStart;
    let at = skipBlank(lines, 0);
    while (at < lines.length) {
      const { block, next } = takeBlock(lines, at, 0);
      // While its first line is unfinished, a block may yet turn out to continue the one before.
      if (at + 1 < lines.length) {
        settled = drawn.length;
        settledEnd = starts[at];
      }
      drawn.push({ block, node: this.draw(block, this.tail[drawn.length]) });
      at = skipBlank(lines, next);
    }
    for (const { node } of this.tail.slice(drawn.length)) node.remove();
    this.tail = drawn.slice(settled);
    this.tailStart = settledEnd;
  }

  /**
   * @param {Block} block @param {{block: Block, node: HTMLElement}|undefined} before in its place
   * @returns {HTMLElement}
   */
  draw(block, before) {
    if (before && extendCode(before, block)) return before.node;
    const node = renderBlock(block);
    if (before) before.node.replaceWith(node);
    else this.container.append(node);
    return node;
  }
}

/**
 * Code grows long: new text is added to it rather than all of it drawn again.
 * @param {{block: Block, node: HTMLElement}} before @param {Block} block
 * @returns {boolean} whether that was possible
 */
function extendCode(before, block) {
  const old = before.block;
  const target = before.node.querySelector("code")?.firstChild;
  if (old.type !== "code" || block.type !== "code" || !(target instanceof Text)) return false;
  if (block.language !== old.language || !block.text.startsWith(old.text)) return false;
  target.appendData(block.text.slice(old.text.length));
  return true;
}

/** One kind of line ending. @param {string} text @returns {string} */
function normalise(text) {
  return text.replace(/\r\n?/g, "\n");
}

/**
 * The lines, with tabs at their beginning made spaces, except in code, where tabs mean something.
 * @param {string} text @returns {string[]}
 */
function toLines(text) {
  let inCode = false;
  return text.split("\n").map((line) => {
    if (/^\s*(```|~~~)/.test(line)) inCode = !inCode;
    return inCode ? line : line.replace(/^[ \t]+/, (blanks) => blanks.replaceAll("\t", "    "));
  });
}

/**
 * Where each line begins in the whole text.
 * @param {string} text @param {number} offset where this part begins @returns {number[]}
 */
function lineStarts(text, offset) {
  let at = offset;
  return text.split("\n").map((line) => {
    const start = at;
    at += line.length + 1;
    return start;
  });
}

/** @param {string[]} lines @param {number} at @returns {number} */
function skipBlank(lines, at) {
  let next = at;
  while (next < lines.length && lines[next].trim() === "") next += 1;
  return next;
}

/** @param {string[]} lines @param {number} depth @returns {Block[]} */
function parseBlocks(lines, depth) {
  return parseSpaced(lines, depth).blocks;
}

/**
 * Blocks, and whether blank lines stand between them.
 * @param {string[]} lines @param {number} depth @returns {{blocks: Block[], spaced: boolean}}
 */
function parseSpaced(lines, depth) {
  const blocks = [];
  let spaced = false;
  let at = skipBlank(lines, 0);
  while (at < lines.length) {
    const { block, next } = takeBlock(lines, at, depth);
    blocks.push(block);
    at = skipBlank(lines, next);
    spaced ||= at > next && at < lines.length;
  }
  return { blocks, spaced };
}

/** @param {string[]} lines @param {number} at @param {number} depth @returns {Taken} */
function takeBlock(lines, at, depth) {
  const line = lines[at];
  if (FENCE.test(line)) return takeCode(lines, at);
  if (HEADING.test(line)) return takeHeading(line, at);
  if (RULE.test(line)) return { block: { type: "rule" }, next: at + 1 };
  if (depth < MAX_NESTING && QUOTE.test(line)) return takeQuote(lines, at, depth);
  if (depth < MAX_NESTING && ITEM.test(line)) return takeList(lines, at, depth);
  if (startsTable(lines, at)) return takeTable(lines, at);
  return takeParagraph(lines, at);
}

/** Whether a line ends a paragraph by beginning something else. @param {string} line */
function interrupts(line) {
  const item = ITEM.exec(line);
  const startsList = item !== null && item[3] !== undefined && !/^\d/.test(item[2]);
  const startsNumbers = item !== null && item[3] !== undefined && /^1[.)]/.test(item[2]);
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line)
    || startsList || startsNumbers;
}

/** @param {string[]} lines @param {number} at @returns {Taken} */
function takeParagraph(lines, at) {
  const text = [lines[at].trimStart()];
  let next = at + 1;
  for (; next < lines.length && lines[next].trim() !== ""; next += 1) {
    const underline = UNDERLINE.exec(lines[next]);
    if (underline) {
      const level = underline[1].startsWith("=") ? 1 : 2;
      return { block: { type: "heading", level, text: text.join("\n") }, next: next + 1 };
    }
    if (interrupts(lines[next]) || startsTable(lines, next)) break;
    text.push(lines[next].trimStart());
  }
  return { block: { type: "paragraph", text: text.join("\n").trimEnd() }, next };
}

/** @param {string} line @param {number} at @returns {Taken} */
function takeHeading(line, at) {
  const [, marks, text] = /** @type {RegExpExecArray} */ (HEADING.exec(line));
  const block = { type: /** @type {const} */ ("heading"), level: marks.length, text: unmark(text) };
  return { block, next: at + 1 };
}

/** Without the marks a heading may end with. @param {string|undefined} text @returns {string} */
function unmark(text = "") {
  const whole = text.trim();
  let end = whole.length;
  while (whole[end - 1] === "#") end -= 1;
  return end === 0 || " \t".includes(whole[end - 1]) ? whole.slice(0, end).trimEnd() : whole;
}

/** @param {string[]} lines @param {number} at @returns {Taken} */
function takeCode(lines, at) {
  const [, fence, info] = /** @type {RegExpExecArray} */ (FENCE.exec(lines[at]));
  const indent = lines[at].length - lines[at].trimStart().length;
  const body = [];
  let next = at + 1;
  for (; next < lines.length; next += 1) {
    const line = lines[next].trim();
    if (line.length >= fence.length && line === fence[0].repeat(line.length)) break;
    body.push(dedent(lines[next], indent));
  }
  const language = info.trim().split(/\s+/)[0] ?? "";
  return { block: { type: "code", language, text: body.join("\n") }, next: next + 1 };
}

/** @param {string} line @param {number} width @returns {string} */
function dedent(line, width) {
  const blanks = line.length - line.trimStart().length;
  return line.slice(Math.min(width, blanks));
}

/** @param {string[]} lines @param {number} at @param {number} depth @returns {Taken} */
function takeQuote(lines, at, depth) {
  const inside = [];
  let next = at;
  for (; next < lines.length; next += 1) {
    const line = lines[next];
    if (QUOTE.test(line)) inside.push(line.replace(QUOTE, ""));
    else if (line.trim() !== "" && continuesParagraph(inside, line)) inside.push(line);
    else break;
  }
  return { block: { type: "quote", blocks: parseBlocks(inside, depth + 1) }, next };
}

/** A line may go on a paragraph without the mark. @param {string[]} before @param {string} line */
function continuesParagraph(before, line) {
  const last = before.at(-1) ?? "";
  return last.trim() !== "" && !interrupts(line) && !FENCE.test(last) && !HEADING.test(last);
}

/** @param {string[]} lines @param {number} at @param {number} depth @returns {Taken} */
function takeList(lines, at, depth) {
  const first = /** @type {RegExpExecArray} */ (ITEM.exec(lines[at]));
  const items = [];
  let loose = false;
  let next = at;
  while (next < lines.length) {
    const start = skipBlank(lines, next);
    const item = start < lines.length ? ITEM.exec(lines[start]) : null;
    if (!item || !sameList(first, item) || RULE.test(lines[start])) break;
    if (start > next) loose = true;
    const taken = takeItem(lines, start, item);
    const { blocks, spaced } = parseSpaced(taken.lines, depth + 1);
    items.push(blocks);
    loose ||= spaced;
    next = taken.next;
  }
  const start = /^\d/.test(first[2]) ? Number.parseInt(first[2], 10) : null;
  return { block: { type: "list", start, loose, items }, next };
}

/** @param {RegExpExecArray} first @param {RegExpExecArray} item */
function sameList(first, item) {
  return first[2].at(-1) === item[2].at(-1) && item[1].length < first[0].length + 2;
}

/**
 * The lines of one item, without their indentation.
 * @param {string[]} lines @param {number} at @param {RegExpExecArray} item
 * @returns {{lines: string[], next: number}}
 */
function takeItem(lines, at, item) {
  const gap = item[3] === undefined || item[3].length > 4 ? 1 : item[3].length;
  const width = item[1].length + item[2].length + gap;
  const inside = [lines[at].slice(width)];
  let next = at + 1;
  for (; next < lines.length; next += 1) {
    const line = lines[next];
    const indent = line.length - line.trimStart().length;
    if (line.trim() === "") inside.push("");
    else if (indent >= Math.min(width, item[1].length + 2)) inside.push(dedent(line, width));
    else if (inside.at(-1) === "" || interrupts(line) || ITEM.test(line)) break;
    else inside.push(line.trim());
  }
  while (inside.at(-1) === "") {
    inside.pop();
    next -= 1;
  }
  return { lines: inside, next: Math.max(next, at + 1) };
}

/** @param {string[]} lines @param {number} at */
function startsTable(lines, at) {
  if (!lines[at].includes("|") || !lines[at + 1]?.includes("-")) return false;
  const rule = cells(lines[at + 1]);
  return rule.every((cell) => TABLE_RULE.test(cell)) && rule.length === cells(lines[at]).length;
}

/** @param {string[]} lines @param {number} at @returns {Taken} */
function takeTable(lines, at) {
  const align = cells(lines[at + 1]).map((cell) => {
    const left = cell.startsWith(":");
    const right = cell.endsWith(":");
    return left && right ? "center" : right ? "right" : "";
  });
  const rows = [cells(lines[at])];
  let next = at + 2;
  for (; next < lines.length; next += 1) {
    if (lines[next].trim() === "" || interrupts(lines[next])) break;
    rows.push(cells(lines[next]).slice(0, align.length));
  }
  return { block: { type: "table", align, rows }, next };
}

/** @param {string} line @returns {string[]} */
function cells(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/(^|[^\\])\|$/, "$1");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

/** @param {Block} block @returns {HTMLElement} */
function renderBlock(block) {
  switch (block.type) {
    case "heading":
      return el(/** @type {"h1"} */ (`h${block.level}`), {}, renderInline(block.text));
    case "code":
      return renderCode(block.language, block.text);
    case "rule":
      return el("hr");
    case "quote":
      return el("blockquote", {}, ...block.blocks.map(renderBlock));
    case "list":
      return renderList(block);
    case "table":
      return renderTable(block);
    default:
      return el("p", {}, renderInline(block.text));
  }
}

/**
 * A code block with its language and a button that copies it.
 * @param {string} language empty when unknown @param {string} text
 * @returns {HTMLElement}
 */
export function renderCode(language, text) {
  // The node is never empty: a growing block appends to it.
  const code = el("code", {}, document.createTextNode(text));
  const copy = copyButton(() => code.textContent ?? "", "Copy code");
  const label = el("span", { class: "code-language", text: language || "text" });
  return el("figure", { class: "code" },
    el("figcaption", {}, label, copy),
    el("pre", { attrs: { tabindex: "0" } }, code));
}

/** @param {Extract<Block, {type: "list"}>} list @returns {HTMLElement} */
function renderList(list) {
  const items = list.items.map((blocks) => renderItem(blocks, list.loose));
  if (list.start === null) return el("ul", {}, ...items);
  return el("ol", { attrs: { start: String(list.start) } }, ...items);
}

/** @param {Block[]} blocks @param {boolean} loose @returns {HTMLElement} */
function renderItem(blocks, loose) {
  const item = el("li");
  blocks.forEach((block, index) => {
    if (block.type !== "paragraph") {
      item.append(renderBlock(block));
      return;
    }
    const task = index === 0 ? TASK.exec(block.text) : null;
    const inside = renderInline(task ? block.text.slice(task[0].length) : block.text);
    const box = task ? taskBox(task[1] !== " ") : null;
    if (task) item.className = "task";
    if (loose) item.append(el("p", {}, box, inside));
    else item.append(...(box ? [box] : []), inside);
  });
  return item;
}

/** @param {boolean} done @returns {HTMLElement} */
function taskBox(done) {
  return el("input", { attrs: { type: "checkbox", disabled: true, checked: done } });
}

/** @param {Extract<Block, {type: "table"}>} table @returns {HTMLElement} */
function renderTable(table) {
  const [head, ...body] = table.rows.map((row, index) => {
    const tag = index === 0 ? "th" : "td";
    const cellNodes = table.align.map((align, column) =>
      el(tag, { class: align }, renderInline(row[column] ?? "")));
    return el("tr", {}, ...cellNodes);
  });
  return el("div", { class: "table", attrs: { tabindex: "0" } },
    el("table", {}, el("thead", {}, head), el("tbody", {}, ...body)));
}
