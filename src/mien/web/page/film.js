// A video: it is answered frame by frame while it is looked at; a strip a face shows the probabilities over time.

import { backend } from "./backend.js";
import { column, key } from "./camera.js";
import { el } from "./dom.js";
import { outlines, panel, sheet } from "./faces.js";
import { texts } from "./texts.js";

const FPS = 12;

export class FilmSheet {
  constructor(file, page) {
    Object.assign(this, { file, page, frames: [], name: file.name || texts.pasted });
    this.url = URL.createObjectURL(file);
    this.video = el("video", { src: this.url, controls: true, muted: true, playsInline: true, ontimeupdate: () => this.here(), onseeked: () => this.here(), onplay: () => this.follow() });
    this.video.onerror = () => this.frame.replaceChildren(el("p", { className: "empty", textContent: backend.place === "server" ? texts.videoUnplayable : "" }));
    this.frame = el("div", { className: "frame" }, this.video);
    this.list = el("ul", { className: "faces" });
    this.count = el("span", { className: "count" });
    this.strips = el("div", { className: "strips", hidden: true });
    this.element = sheet(this, () => page.remove(this), this.list, this.strips);
  }

  async ask() {
    this.stop?.abort();
    const stop = (this.stop = new AbortController());
    const { models, faces } = this.page.asked();
    Object.assign(this, { model: models[0], frames: [] });
    this.list.replaceChildren(el("li", { className: "busy", textContent: texts.looking(this.name) }));
    try {
      await backend.video(this.file, { model: this.model.name, faces, fps: FPS }, stop.signal, (line) => this.add(line));
    } catch (error) {
      if (stop.signal.aborted) return undefined;
      return this.fail(error.message);
    }
    return this.show();
  }

  fail(said) {
    this.list.replaceChildren(el("li", { className: "failed", textContent: said }));
    this.page.say(texts.failed(this.name, said), true);
  }

  /** A line of the answer: a frame, the end, or what went wrong. */
  add(line) {
    if (line.error) return this.fail(line.error);
    if (line.end) {
      this.count.textContent = texts.videoDone(line.end.frames, line.end.time_s);
      return this.page.say(texts.failed(this.name, this.count.textContent));
    }
    this.frames.push(line);
    const now = performance.now();
    if (now - (this.drawn ?? 0) > 250) {
      this.drawn = now;
      this.count.textContent = texts.videoProgress(line.time_s, texts.faces(this.tracks().size));
      this.show();
    }
    return undefined;
  }

  tracks() {
    const found = new Map();
    for (const { time_s: at, faces } of this.frames) for (const face of faces) found.set(face.track, [...(found.get(face.track) ?? []), { at, face }]);
    return found;
  }

  show() {
    const length = this.length();
    const strips = [...this.tracks()].map(([number, seen]) => this.track(number, seen, length));
    this.strips.hidden = !strips.length;
    this.strips.replaceChildren(...strips, el("ul", { className: "key" }, ...key(this.model?.labels ?? [])), el("p", { className: "hint", textContent: texts.timelineHint }));
    this.here();
  }

  length() {
    return Math.max(this.frames.at(-1)?.time_s ?? 0, this.video.duration || 0, 0.1);
  }

  /** The strip of one face; choosing a place, or the arrows, goes there in the video. */
  track(number, seen, length) {
    const canvas = el("canvas", { width: 1200, height: 52, tabIndex: 0, role: "slider", ariaLabel: texts.timeline(number), ariaValueMin: "0", ariaValueMax: String(Math.round(length)), ariaValueNow: String(Math.round(this.video.currentTime || 0)) });
    canvas.setAttribute("aria-valuetext", this.words(number, seen));
    const context = canvas.getContext("2d");
    const step = 1.5 / FPS;
    seen.forEach(({ at, face }, place) => {
      const until = Math.min(seen[place + 1]?.at ?? at + step, at + 2 * step);
      column(context, face.probs, this.model.labels, (1200 * at) / length, (1200 * (until - at)) / length + 0.7, 52);
    });
    canvas.addEventListener("click", (event) => this.go((event.offsetX / canvas.clientWidth) * length));
    canvas.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 0.5, ArrowLeft: -0.5, PageUp: 5, PageDown: -5 }[event.key];
      if (by) {
        event.preventDefault();
        this.go(this.video.currentTime + by);
      }
    });
    return el("div", { className: "strip" }, el("span", { textContent: texts.timeline(number) }), el("div", { className: "time" }, canvas));
  }

  words(number, seen) {
    const sums = new Map();
    for (const { face } of seen) sums.set(face.label, (sums.get(face.label) ?? 0) + 1);
    const shares = [...sums].sort((a, b) => b[1] - a[1]).map(([label, count]) => texts.likeliest(label, count / seen.length));
    return texts.timelineSaid(number, seen[0].at.toFixed(1), seen.at(-1).at.toFixed(1), shares.join("; "));
  }

  go(seconds) {
    this.video.currentTime = Math.max(0, Math.min(this.length(), seconds));
    if (!this.video.duration) this.here(seconds);
  }

  /** While it plays, outlines follow the picture. */
  follow() {
    this.here();
    if (!this.video.paused && !this.video.ended) requestAnimationFrame(() => this.follow());
  }

  /** The faces of the frame that is shown now. */
  here(at = this.video.currentTime) {
    const frame = this.frames.findLast(({ time_s: time }) => time <= at + 0.01) ?? this.frames[0];
    if (!frame || !this.model) return;
    const { sure } = this.page.asked();
    this.strips.style.setProperty("--at", `${(100 * at) / this.length()}%`);
    for (const strip of this.strips.querySelectorAll("canvas")) strip.ariaValueNow = String(Math.round(at));
    const { videoWidth: width, videoHeight: height } = this.video;
    if (width) this.frame.replaceChildren(this.video, ...outlines(frame.faces, this.model.labels, sure, width, height));
    this.list.replaceChildren(
      ...(frame.faces.length
        ? frame.faces.map((face) => panel({ number: face.track, count: 2, answers: [{ face, model: this.model }], sure }))
        : [el("li", { className: "empty", textContent: texts.cameraNobody })]),
    );
  }

  close() {
    this.stop?.abort();
    URL.revokeObjectURL(this.url);
  }
}
