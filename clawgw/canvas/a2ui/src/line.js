// The WebSocket to the Gateway: comes back by itself, and keeps an action until it was answered.

const LONGEST_PAUSE_MS = 30_000;

export class Line {
  #url; #on; #socket = null; #pause = 500; #edition = ''; #waiting = new Map();

  constructor(path, ticket, on) {
    this.#url = new URL(path, location.href);
    this.#url.protocol = this.#url.protocol.replace('http', 'ws');
    this.#url.searchParams.set('ticket', ticket);
    this.#on = on;
  }

  open() {
    this.#url.searchParams.set('edition', this.#edition);
    const socket = this.#socket = new WebSocket(this.#url);
    socket.onopen = () => {
      this.#pause = 500;
      this.#on.onOnline(true);
      for (const userAction of this.#waiting.values()) this.#say({userAction});
    };
    socket.onmessage = ({data}) => this.#take(JSON.parse(data));
    socket.onclose = () => {
      this.#on.onOnline(false);
      setTimeout(() => this.open(), this.#pause);
      this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE_MS);
    };
  }

  send(userAction) {
    this.#waiting.set(userAction.id, userAction);
    this.#say({userAction});
  }

  complain(error) { this.#say({error}); }

  #say(value) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(value));
  }

  #take(message) {
    if (message.type === 'action-status') {
      if (this.#waiting.delete(message.id)) this.#on.onStatus(message);
      return;
    }
    this.#edition = message.edition;
    if (message.type === 'push') this.#on.onPush(message.messages);
    else if (message.type === 'state') this.#on.onState(message.messages);
  }
}
