// The camera: frames go to the model as fast as it answers, never faster, so what is shown is at most one answer old.

import { backend } from "./backend.js";
import { byId, el } from "./dom.js";
import { outlines, paired, panel, shownLabel } from "./faces.js";
import { colourOf } from "./palette.js";
import { texts } from "./texts.js";

const WIDEST = 640;
const SECONDS = 30;

export async function openCamera(page) {
  const place = byId("live");
  if (!place.hidden || !page.asked().models.length) return;
  if (!navigator.mediaDevices?.getUserMedia) {
    page.say(texts.cameraInsecure, true);
    return;
  }
  page.say(texts.cameraStarting);
  try {
    const media = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, facingMode: "user" }, audio: false });
    await new Camera(page, place, media).run();
  } catch (error) {
    page.say({ NotAllowedError: texts.cameraDenied, NotFoundError: texts.cameraAbsent, NotReadableError: texts.cameraAbsent }[error.name] ?? error.message, true);
  }
}

class Camera {
  constructor(page, place, media) {
    Object.assign(this, { page, place, media, going: true, history: [], pace: 0 });
    this.video = el("video", { srcObject: media, muted: true, autoplay: true, playsInline: true });
    this.frame = el("div", { className: "frame mirrored" }, this.video);
    this.list = el("ul", { className: "faces" });
    this.count = el("span", { className: "count" });
    this.strip = el("canvas", { width: 1200, height: 52, ariaHidden: "true" });
    this.keys = el("ul", { className: "key" });
    const stop = el("button", { type: "button", className: "quiet small", textContent: texts.cameraStop, onclick: () => this.close() });
    this.place.replaceChildren(
      el(
        "article",
        { className: "sheet" },
        el("header", {}, el("h2", { id: "live-title", textContent: texts.cameraTitle }), this.count, stop),
        el("div", { className: "body" }, el("div", { className: "view" }, this.frame), this.list),
        el("div", { className: "strips" }, el("div", { className: "strip" }, el("span", { textContent: `${SECONDS} s` }), this.strip), this.keys),
      ),
    );
    this.place.hidden = false;
    stop.focus();
  }

  async run() {
    await this.video.play();
    this.page.say("");
    const lines = new Map();
    try {
      while (this.going) {
        const asked = this.page.asked();
        const began = performance.now();
        const answers = await Promise.all(asked.models.map((model) => this.answer(lines, model, asked.faces)));
        if (this.going) this.show(answers, asked.sure, performance.now() - began);
      }
    } catch (error) {
      this.page.say(error.message, true);
      this.close();
    } finally {
      lines.forEach((line) => line.close());
    }
  }

  /** One answer of one model, over a line of its own that stays open. */
  async answer(lines, model, faces) {
    const key = `${model.name} ${faces}`;
    if (!lines.has(key)) lines.set(key, await backend.camera({ model: model.name, faces }));
    return { model, faces: await lines.get(key).answer(await this.still()) };
  }

  /** The newest frame, small enough to be sent. */
  async still() {
    await new Promise((next) => (this.video.requestVideoFrameCallback ? this.video.requestVideoFrameCallback(next) : setTimeout(next, 33)));
    const { videoWidth: width, videoHeight: height } = this.video;
    this.scale = Math.min(1, WIDEST / Math.max(width, height, 1));
    const canvas = (this.canvas ??= document.createElement("canvas"));
    canvas.width = Math.max(1, Math.round(width * this.scale));
    canvas.height = Math.max(1, Math.round(height * this.scale));
    canvas.getContext("2d", { willReadFrequently: true }).drawImage(this.video, 0, 0, canvas.width, canvas.height);
    return canvas;
  }

  show(answers, sure, took) {
    const { faces, model } = answers[0];
    const { width, height } = this.canvas;
    this.pace = this.pace ? 0.9 * this.pace + 0.1 * took : took;
    this.count.textContent = texts.cameraPace(1000 / this.pace, this.pace);
    this.frame.replaceChildren(this.video, ...outlines(faces, model.labels, sure, width, height, true));
    this.list.replaceChildren(
      ...(faces.length
        ? paired(answers).map((each, place) => panel({ number: faces[place].track ?? place + 1, count: faces.length, answers: each, sure }))
        : [el("li", { className: "empty", textContent: texts.cameraNobody })]),
    );
    this.remember(faces, model, sure);
  }

  /** The last seconds of the largest face as a strip. */
  remember(faces, model, sure) {
    const now = performance.now() / 1000;
    const largest = [...faces].sort((a, b) => b.box[2] - a.box[2])[0];
    this.history = [...this.history.filter(({ at }) => at > now - SECONDS), { at: now, probs: largest?.probs }];
    const context = this.strip.getContext("2d");
    context.clearRect(0, 0, this.strip.width, this.strip.height);
    this.history.forEach(({ at, probs }, place) => {
      const until = this.history[place + 1]?.at ?? now;
      const x = this.strip.width * (1 - (now - at) / SECONDS);
      if (probs) column(context, probs, model.labels, x, (this.strip.width * (until - at)) / SECONDS + 1, this.strip.height);
    });
    const said = largest ? shownLabel(largest, sure) : texts.cameraNobody;
    if (said !== this.said) this.page.say((this.said = said));
    if (!this.keys.childElementCount) this.keys.append(...key(model.labels));
  }

  close() {
    this.going = false;
    this.media.getTracks().forEach((track) => track.stop());
    this.place.hidden = true;
    this.place.replaceChildren();
    byId("camera").focus();
  }
}

/** Probabilities as a column of colours. */
export function column(context, probs, labels, x, width, height) {
  let y = 0;
  for (const label of labels) {
    const part = (probs[label] ?? 0) * height;
    context.fillStyle = colourOf(labels, label);
    context.fillRect(x, y, width, part + 0.5);
    y += part;
  }
}

/** What the colours mean. */
export const key = (labels) => labels.map((label) => el("li", {}, el("i", { style: { "--tone": colourOf(labels, label) } }), label));
