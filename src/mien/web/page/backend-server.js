// What answers: the server that this page came from, over its documented interface and nothing else.

import { texts } from "./texts.js";

class Server {
  place = "server";
  key = "";

  async models() {
    for (;;) {
      const answer = await this.#fetch("v1/models", {});
      if (answer.status !== 503) return (await checked(answer)).json();
      await new Promise((next) => setTimeout(next, 500)); // it still loads
    }
  }

  /** The faces of a picture. */
  async predict(file, { model, faces }) {
    const told = await this.#post(`v1/predict?${new URLSearchParams({ model, faces })}`, file, file.type.startsWith("image/") ? file.type : "application/octet-stream");
    return (await told.json()).results[0].faces;
  }

  /** The map of one face: `{label, margin, map}`. */
  async explain(file, { model, faces, face, label }) {
    const told = await this.#post(`v1/explain?${new URLSearchParams({ model, faces, face, label })}`, file, "application/octet-stream");
    return told.json();
  }

  /** Calls `add` with each line of the answer as it comes. */
  async video(file, { model, faces, fps }, signal, add) {
    const told = await this.#post(`v1/video?${new URLSearchParams({ model, faces, fps })}`, file, "application/octet-stream", signal);
    let rest = "";
    for await (const part of pieces(told.body.pipeThrough(new TextDecoderStream()))) {
      const lines = (rest + part).split("\n");
      rest = lines.pop();
      for (const line of lines) add(JSON.parse(line));
    }
  }

  /** An open line to the model: `answer(canvas)` gives the faces of a frame. */
  async camera({ model, faces }) {
    const address = new URL(`v1/stream?${new URLSearchParams({ model, faces })}`, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address, ["mien.v1", ...(this.key ? [`mien.key.${this.key}`] : [])]);
    const waiting = [];
    const end = () => waiting.splice(0).forEach(({ fail }) => fail(new Error(texts.lost)));
    socket.onmessage = (event) => waiting.shift()?.done(JSON.parse(event.data));
    socket.onclose = end;
    await new Promise((open, fail) => {
      socket.onopen = open;
      socket.onerror = () => fail(new Error(texts.lost));
    });
    return {
      answer: async (canvas) => {
        const frame = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.85));
        if (socket.readyState !== WebSocket.OPEN) throw new Error(texts.lost);
        const told = new Promise((done, fail) => waiting.push({ done, fail }));
        socket.send(frame);
        const { faces: found, error } = await told;
        if (error) throw new Error(error);
        return found;
      },
      close: () => socket.close(),
    };
  }

  async #post(path, body, type, signal) {
    return checked(await this.#fetch(path, { method: "POST", body, signal, headers: { "Content-Type": type } }));
  }

  async #fetch(path, options) {
    const headers = { ...options.headers, ...(this.key ? { Authorization: `Bearer ${this.key}` } : {}) };
    try {
      return await fetch(path, { ...options, headers, credentials: "omit", referrerPolicy: "no-referrer" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error(texts.lost, { cause: error });
    }
  }
}

async function checked(answer) {
  if (answer.ok) return answer;
  const { error } = await answer.json().catch(() => ({ error: answer.statusText }));
  throw Object.assign(new Error(error), { status: answer.status });
}

async function* pieces(stream) {
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

export const backend = new Server();
