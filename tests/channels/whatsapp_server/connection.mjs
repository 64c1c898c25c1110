// One WebSocket connection: the handshake, then nodes in both directions, in the order they came.
// What the nodes mean is the server's business. A client that does not keep to the protocol is cut
// off, and the reason told.
import { decodeBinaryNode, encodeBinaryNode } from "baileys";
import { FrameReader, ServerNoise, frame } from "./noise.mjs";

export class Connection {
  companion = undefined; // the linked device it has logged in as
  registration = undefined; // what it wants to link with, as long as it is not linked
  noiseKey = undefined; // what the client proved to have
  #server;
  #socket;
  #noise;
  #frames = new FrameReader();
  #stage = this.#hello;
  #turn = Promise.resolve();

  constructor(server, socket) {
    this.#server = server;
    this.#socket = socket;
    this.#noise = new ServerNoise(server.identity);
    socket.on("message", (data) => this.#received(data));
    socket.on("close", () => server.left(this));
    socket.on("error", () => socket.terminate());
  }

  get open() {
    return this.#socket.readyState === this.#socket.OPEN;
  }

  /** Send a node, unless the connection is gone or the server has been told to say nothing. */
  send(node) {
    if (!this.open || this.#server.faults.active("silence")) return;
    this.#socket.send(frame(this.#noise.encrypt(encodeBinaryNode(node))));
  }

  /** Send bytes that mean nothing. */
  sendGarbage() {
    this.#socket.send(frame(Buffer.from("this is not what was agreed upon")));
  }

  /** Say goodbye and close. */
  end(node) {
    this.send(node);
    this.#socket.close();
  }

  /** Be gone, without a word. */
  cut() {
    this.#socket.terminate();
  }

  #received(data) {
    const turn = async () => {
      for (const one of this.#frames.push(data)) await this.#stage(one);
    };
    this.#turn = this.#turn.then(turn).catch((problem) => {
      this.#server.tell("problem", { message: problem.message, stack: problem.stack });
      this.cut();
    });
  }

  #hello(bytes) {
    this.#socket.send(frame(this.#noise.hello(bytes)));
    this.#stage = this.#finish;
  }

  #finish(bytes) {
    const { noiseKey, payload } = this.#noise.finish(bytes);
    this.noiseKey = noiseKey;
    this.#stage = this.#node;
    this.#server.entered(this, payload);
  }

  async #node(bytes) {
    const node = await decodeBinaryNode(this.#noise.decrypt(bytes));
    if (this.#server.faults.active("silence")) this.#server.tell("ignored", { tag: node.tag });
    else await this.#server.handle(this, node);
  }
}
