/**
 * Building DOM nodes.
 *
 * Every node of the page comes from here: by createElement and textContent, never from a string of
 * HTML. Text of a model, a tool or another person can therefore only ever become text.
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @typedef {Node|string|null|undefined|false} Child
 * @typedef {{class?: string, text?: string, attrs?: Record<string, string|boolean|null|undefined>,
 *   on?: Record<string, (event: any) => void>}} Props
 */

/**
 * Make an element.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Props} [props] class, text, attributes (`true` is an empty one, `false` none), listeners
 * @param {...Child} children falsy ones are left out
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  if (props.class) node.className = props.class;
  if (props.text !== undefined) node.textContent = props.text;
  setAttributes(node, props.attrs ?? {});
  for (const [type, listener] of Object.entries(props.on ?? {})) {
    node.addEventListener(type, listener);
  }
  for (const child of children) if (child) node.append(child);
  return node;
}

/** @param {Element} node @param {Record<string, string|boolean|null|undefined>} attrs */
function setAttributes(node, attrs) {
  for (const [name, value] of Object.entries(attrs)) {
    if (value === true) node.setAttribute(name, "");
    else if (value || value === "") node.setAttribute(name, value);
  }
}

/** The outlines of the icons, drawn on a 24 × 24 grid. */
const ICONS = {
  arrowDown: ["M12 5v14", "M6 13l6 6 6-6"],
  arrowUp: ["M12 19V5", "M6 11l6-6 6 6"],
  channels: ["M4 5h11v8H9l-3 3v-3H4z", "M18 9h2v8h-2v3l-3-3h-4v-1"],
  check: ["M5 13l4 4L19 7"],
  chevron: ["M9 6l6 6-6 6"],
  copy: ["M9 9h10v11H9z", "M5 15V4h10"],
  cross: ["M6 6l12 12", "M18 6L6 18"],
  edit: ["M4 20l1-4L16 5l3 3L8 19z"],
  menu: ["M4 7h16", "M4 12h16", "M4 17h16"],
  moon: ["M20 14.5A8 8 0 1 1 9.5 4a6.5 6.5 0 0 0 10.5 10.5z"],
  more: ["M4.5 12a.8.8 0 1 0 1.6 0 .8.8 0 1 0-1.6 0zM11.2 12a.8.8 0 1 0 1.6 0 .8.8 0 1 0-1.6 0z"
    + "M17.9 12a.8.8 0 1 0 1.6 0 .8.8 0 1 0-1.6 0z"],
  plus: ["M12 5v14", "M5 12h14"],
  reset: ["M4 12a8 8 0 1 0 2.5-5.8", "M4 4v4h4"],
  stop: ["M7 7h10v10H7z"],
  sun: [
    "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8z",
    "M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6L19 19M19 5l-1.4 1.4M6.4 17.6L5 19",
  ],
  system: ["M4 5h16v11H4z", "M9 20h6", "M12 16v4"],
  tool: ["M14.5 6.5a4 4 0 0 0-5.2 5.2L4 17l3 3 5.3-5.3a4 4 0 0 0 5.2-5.2L15 12l-3-3z"],
  trash: ["M5 7h14", "M10 7V4h4v3", "M7 7l1 13h8l1-13"],
  warning: ["M12 4l9 16H3z", "M12 10v4", "M12 17h.01"],
};

/**
 * An icon that assistive technology does not read.
 * @param {keyof typeof ICONS} name
 * @returns {SVGElement}
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  setAttributes(svg, { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" });
  for (const outline of ICONS[name]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", outline);
    svg.append(path);
  }
  return svg;
}

/**
 * A button with an icon and a spoken name.
 * @param {keyof typeof ICONS} name
 * @param {string} label
 * @param {(event: Event) => void} onClick
 * @param {string} [className]
 * @returns {HTMLButtonElement}
 */
export function iconButton(name, label, onClick, className = "") {
  return el(
    "button",
    {
      class: `icon-button ${className}`.trim(),
      attrs: { type: "button", "aria-label": label, title: label },
      on: { click: onClick },
    },
    icon(name),
  );
}

/**
 * A button that copies a text and says that it did.
 * @param {() => string} getText
 * @param {string} label
 * @returns {HTMLButtonElement}
 */
export function copyButton(getText, label) {
  const button = iconButton("copy", label, async () => {
    const copied = await copyText(getText());
    button.replaceChildren(icon(copied ? "check" : "warning"));
    setTimeout(() => button.replaceChildren(icon("copy")), 1500);
  }, "copy");
  return button;
}

/** @param {string} text @returns {Promise<boolean>} whether the clipboard has it now */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * A point in time as a person would say it: the hour today, the day this year, else the date.
 * @param {number|undefined} ms since the epoch
 * @returns {string} empty when there is none
 */
export function shortTime(ms) {
  if (!ms) return "";
  const then = new Date(ms);
  const now = new Date();
  if (then.toDateString() === now.toDateString()) {
    return then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  }
  const sameYear = then.getFullYear() === now.getFullYear();
  return then.toLocaleDateString([], sameYear ? { day: "numeric", month: "short" } : undefined);
}
