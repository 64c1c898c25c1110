/** Light or dark: as the system says, until the person chooses. */

import { icon } from "./dom.js";

/** @typedef {"system"|"light"|"dark"} Choice */

/** @type {Record<Choice, {next: Choice, icon: "system"|"sun"|"moon", label: string}>} */
const CHOICES = {
  system: { next: "light", icon: "system", label: "Colours: as the system" },
  light: { next: "dark", icon: "sun", label: "Colours: light" },
  dark: { next: "system", icon: "moon", label: "Colours: dark" },
};

/**
 * Let a button go through the choices; the choice is remembered.
 * @param {HTMLButtonElement} button
 * @param {import("./storage.js").BrowserStorage} storage
 */
export function installTheme(button, storage) {
  const apply = (/** @type {Choice} */ choice) => {
    document.documentElement.dataset.theme = choice;
    button.replaceChildren(icon(CHOICES[choice].icon));
    button.title = CHOICES[choice].label;
    button.setAttribute("aria-label", CHOICES[choice].label);
  };
  let choice = /** @type {Choice} */ (storage.read("theme") ?? "system");
  if (!(choice in CHOICES)) choice = "system";
  apply(choice);
  button.addEventListener("click", () => {
    choice = CHOICES[choice].next;
    storage.write("theme", choice);
    apply(choice);
  });
}
