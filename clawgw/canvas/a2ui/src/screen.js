// What is seen: the surfaces one below the other, or that there is none; a line for notes.

import style from './screen.css';

const NOTE_MS = 4000;

export class Screen {
  #surfaces; #empty; #note; #problem; #offline; #timer; #byName = new Map();

  constructor(body) {
    const sheet = document.createElement('style');
    sheet.textContent = style;
    document.head.append(sheet);
    this.#surfaces = this.#add(body, 'main', 'surfaces');
    this.#empty = this.#add(body, 'p', 'empty', 'Nothing to show yet. Your agent can put forms, '
      + 'charts and controls here.');
    this.#problem = this.#add(body, 'p', 'problem');
    this.#note = this.#add(body, 'p', 'note');
    this.#offline = this.#add(body, 'p', 'offline', 'No connection to the Gateway. Trying again…');
    this.#problem.setAttribute('role', 'alert');
    this.#note.setAttribute('role', 'status');
    this.#problem.hidden = this.#note.hidden = this.#offline.hidden = true;
  }

  get root() { return this.#surfaces; }

  names() { return [...this.#byName.keys()]; }

  show(name, element) {
    if (this.#byName.get(name) === element) return;
    this.remove(name);
    element.dataset.surface = name;
    this.#byName.set(name, element);
    this.#surfaces.append(element);
    this.#empty.hidden = true;
  }

  remove(name) {
    this.#byName.get(name)?.remove();
    this.#byName.delete(name);
    this.#empty.hidden = this.#byName.size > 0;
  }

  note(text, stays = false) {
    clearTimeout(this.#timer);
    this.#note.textContent = text;
    this.#note.hidden = !text;
    if (!stays) this.#timer = setTimeout(() => { this.#note.hidden = true; }, NOTE_MS);
  }

  problem(text) {
    this.#problem.textContent = text;
    this.#problem.hidden = !text;
  }

  online(online) { this.#offline.hidden = online; }

  #add(body, tag, id, text = '') {
    const element = document.createElement(tag);
    element.id = id;
    element.textContent = text;
    body.append(element);
    return element;
  }
}
