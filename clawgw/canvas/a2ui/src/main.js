// The A2UI page: a line to the Gateway, two renderers, one screen.

import {Line} from './line.js';
import {Renderer08} from './renderer08.js';
import {Renderer09} from './renderer09.js';
import {Screen} from './screen.js';

const {ticket, socket} = document.currentScript.dataset;
const screen = new Screen(document.body);
const local = new Set(); // surfaces an app's own page script put here, unknown to the Gateway

const newId = () =>
  [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, '0')).join('');

const renderers = {
  '0.8': new Renderer08(screen, act),
  '0.9': new Renderer09(screen, act),
};

const line = new Line(socket, ticket, {
  onState: (messages) => { reset(); apply(messages); },
  onPush: apply,
  onStatus: (status) => actionDone(status),
  onOnline: (online) => screen.online(online),
});

function surfaceOf(message) {
  return Object.values(message).find((body) => body?.surfaceId)?.surfaceId;
}

function apply(messages) {
  let problem = '';
  for (const message of messages) {
    const renderer = renderers[message.version ? '0.9' : '0.8'];
    try {
      renderer.process(message);
    } catch (error) {
      const surfaceId = surfaceOf(message) ?? '';
      problem ||= `Surface "${surfaceId}" could not be drawn: ${error.message}`;
      line.complain({code: 'RENDER_FAILED', surfaceId, message: String(error.message)});
    }
  }
  for (const renderer of Object.values(renderers)) renderer.refresh();
  screen.problem(problem);
}

function reset() {
  local.clear();
  for (const renderer of Object.values(renderers)) renderer.reset();
}

function act(action) {
  const userAction = {id: newId(), timestamp: new Date().toISOString(), context: {}, ...action};
  if (!local.has(userAction.surfaceId)) {
    screen.note('Sending…');
    line.send(userAction);
    return;
  }
  const app = globalThis.webkit?.messageHandlers?.openclawCanvasA2UIAction
    ?? globalThis.openclawCanvasA2UIAction;
  if (app?.postMessage) app.postMessage(JSON.stringify({userAction}));
  else screen.note('Nothing here can take this action.', true);
}

function actionDone({id, ok, error}) {
  screen.note(ok ? 'Sent to the agent.' : `Not sent: ${error}`, !ok);
  const detail = {id, ok, error};
  globalThis.dispatchEvent(new CustomEvent('openclaw:a2ui-action-status', {detail}));
}

// What the page scripts of stock apps call.
globalThis.openclawA2UI = {
  applyMessages(messages) {
    for (const message of messages) {
      const surfaceId = surfaceOf(message);
      if (surfaceId) local.add(surfaceId);
    }
    apply(messages);
    return {ok: true, surfaces: this.getSurfaces()};
  },
  reset() { reset(); return {ok: true}; },
  getSurfaces: () => screen.names(),
};

line.open();
