// A2UI 0.9, with the basic catalog under whatever name a surface asks for one.

import {basicCatalog, Context} from '@a2ui/lit/v0_9';
import {renderMarkdown} from '@a2ui/markdown-it';
import {MessageProcessor} from '@a2ui/web_core/v0_9';
import {ContextProvider} from '@lit/context';

export class Renderer09 {
  #screen; #processor; #act;

  constructor(screen, act) {
    this.#screen = screen;
    this.#act = act;
    new ContextProvider(screen.root, {context: Context.markdown, initialValue: renderMarkdown});
    this.reset();
  }

  reset() {
    for (const name of this.#processor?.model.surfacesMap.keys() ?? []) this.#screen.remove(name);
    const processor = this.#processor = new MessageProcessor([basicCatalog], (action) => {
      const {name, surfaceId, sourceComponentId, timestamp, context} = action;
      const dataModel = processor.getClientDataModel()?.surfaces?.[surfaceId];
      this.#act({
        name, surfaceId, sourceComponentId, timestamp, context,
        ...(dataModel === undefined ? {} : {dataModel}),
      });
    });
    processor.onSurfaceCreated((surface) => {
      const element = document.createElement('a2ui-surface');
      element.surface = surface;
      this.#screen.show(surface.id, element);
    });
    processor.onSurfaceDeleted((surface) => this.#screen.remove(surface.id ?? surface));
  }

  process(message) {
    if (message.createSurface) {
      const createSurface = {...message.createSurface, catalogId: basicCatalog.id};
      this.#processor.processMessages([{...message, createSurface}]);
    } else if (message.updateComponents) {
      this.#update(message, message.updateComponents);
    } else {
      this.#processor.processMessages([message]);
    }
  }

  // The processor takes all components of a message or none; one bad one must not hide the others.
  #update(message, {surfaceId, components}) {
    try {
      this.#processor.processMessages([message]);
    } catch (error) {
      for (const component of components) {
        try {
          const updateComponents = {surfaceId, components: [component]};
          this.#processor.processMessages([{...message, updateComponents}]);
        } catch { /* told once, below */ }
      }
      throw error;
    }
  }

  refresh() {} // its surfaces draw themselves
}
