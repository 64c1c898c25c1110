// A2UI 0.8. An action's values are looked up here, because this version leaves that to the page.

import {v0_8} from '@a2ui/lit';
import '@a2ui/lit/ui';
import {Context} from '@a2ui/lit/ui';
import {renderMarkdown} from '@a2ui/markdown-it';
import {ContextProvider} from '@lit/context';
import {theme} from './theme08.js';

export class Renderer08 {
  #screen; #act; #processor; #elements = new Map();

  constructor(screen, act) {
    this.#screen = screen;
    this.#act = act;
    this.#processor = v0_8.Data.createSignalA2uiMessageProcessor();
    new ContextProvider(screen.root, {context: Context.theme, initialValue: theme});
    new ContextProvider(screen.root, {context: Context.markdown, initialValue: renderMarkdown});
  }

  reset() {
    this.#processor.clearSurfaces();
    this.refresh();
  }

  process(message) { this.#processor.processMessages([message]); }

  refresh() {
    const surfaces = this.#processor.getSurfaces();
    for (const [name, surface] of surfaces) {
      let element = this.#elements.get(name);
      if (!element) {
        element = document.createElement('a2ui08-surface');
        element.addEventListener('a2uiaction', (event) => this.#pressed(name, event.detail));
        this.#elements.set(name, element);
      }
      Object.assign(element, {surfaceId: name, surface, processor: this.#processor});
      element.requestUpdate();
      this.#screen.show(name, element);
    }
    for (const name of this.#elements.keys()) {
      if (!surfaces.has(name)) {
        this.#elements.delete(name);
        this.#screen.remove(name);
      }
    }
  }

  #pressed(surfaceId, {action, sourceComponentId, sourceComponent}) {
    if (!action?.name) return;
    const context = {};
    for (const {key, value} of action.context ?? []) {
      const literal = value.literalString ?? value.literalNumber ?? value.literalBoolean;
      context[key] = value.path === undefined
        ? literal
        : plain(this.#processor.getData(sourceComponent, value.path, surfaceId) ?? literal);
    }
    this.#act({name: action.name, surfaceId, sourceComponentId: sourceComponentId ?? '', context});
  }
}

// The data model is made of maps; what goes over the wire is JSON.
function plain(value) {
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([key, inner]) => [key, plain(inner)]));
  }
  return Array.isArray(value) ? value.map(plain) : value ?? null;
}
