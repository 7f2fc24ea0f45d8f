// One picture: outlines, a panel a face, and on demand where the model found its evidence.

import { backend } from "./backend.js";
import { el } from "./dom.js";
import { drawFace, likeliest, outlines, paired, panel, sheet, shownLabel, thumbnail } from "./faces.js";
import { texts } from "./texts.js";

const TINY = 200;

export class PictureSheet {
  constructor(file, page) {
    Object.assign(this, { file, page, answers: null, explained: new Map(), name: file.name || texts.pasted });
    this.url = URL.createObjectURL(file);
    this.image = el("img", { src: this.url, alt: this.name });
    this.loaded = this.image.decode().then(() => true, () => false);
    this.frame = el("div", { className: "frame" }, this.image);
    this.side = el("div", {}, el("p", { className: "busy", textContent: texts.looking(this.name) }));
    this.count = el("span", { className: "count" });
    this.element = sheet(this, () => page.remove(this), this.side);
  }

  /** Ask all models that are chosen; answers that come too late for a newer question are let go. */
  async ask() {
    const { models, faces } = this.page.asked();
    const turn = (this.turn = (this.turn ?? 0) + 1);
    this.page.say(texts.looking(this.name));
    try {
      const answers = await Promise.all(
        models.map(async (model) => ({ model, faces: await backend.predict(this.file, { model: model.name, faces }) })),
      );
      if (turn !== this.turn) return;
      Object.assign(this, { answers, asked: faces, failure: "" });
      this.explained.clear();
      await this.loaded;
      this.page.say(texts.looked(this.name, answers[0].faces.length));
    } catch (error) {
      if (turn !== this.turn) return;
      Object.assign(this, { answers: null, failure: error.message });
      this.page.say(texts.failed(this.name, error.message), true);
    }
    this.show();
  }

  show() {
    if (this.failure) {
      this.frame.replaceChildren();
      this.side.replaceChildren(el("p", { className: "failed", textContent: this.failure }));
    } else if (this.answers) this.showFaces();
  }

  showFaces() {
    const { sure } = this.page.asked();
    const { faces, model } = this.answers[0];
    const { naturalWidth: width, naturalHeight: height } = this.image;
    this.count.textContent = texts.faces(faces.length);
    this.element.classList.toggle("wide", width > 1.9 * height);
    this.image.classList.toggle("tiny", Math.max(width, height) < TINY);
    this.image.alt = texts.described(this.name, faces.map((face) => texts.likeliest(shownLabel(face, sure), face.confidence)).join("; ") || texts.noFace);
    const cut = this.asked === "none";
    this.frame.replaceChildren(this.image, ...(cut || !width ? [] : outlines(faces, model.labels, sure, width, height)));
    if (!faces.length) {
      this.side.replaceChildren(el("p", { className: "empty" }, el("b", { textContent: texts.noFace }), texts.noFaceHint));
      return;
    }
    const panels = paired(this.answers).map((answers, place) =>
      panel({
        number: place + 1,
        count: faces.length,
        answers,
        sure,
        thumb: cut || !width ? null : thumbnail(this.image, answers[0].face),
        extra: this.why(place, answers[0]),
      }),
    );
    this.side.replaceChildren(el("ul", { className: "faces" }, ...panels));
  }

  /** The button that asks for an explanation, and the explanation where it was asked for. */
  why(place, { face, model }) {
    const known = this.explained.get(place);
    const button = el("button", {
      type: "button",
      className: "quiet small",
      textContent: known ? texts.explainHide : texts.explain,
      ariaExpanded: String(Boolean(known)),
      onclick: () => this.toggle(place, face, model, button),
    });
    return { button, below: known ? this.evidence(known, face) : null };
  }

  async toggle(place, face, model, button) {
    if (this.explained.delete(place)) return this.show();
    button.textContent = texts.explaining;
    button.disabled = true;
    try {
      const label = likeliest(face);
      this.explained.set(place, await backend.explain(this.file, { model: model.name, faces: this.asked, face: place, label }));
    } catch (error) {
      this.page.say(error.message, true);
    }
    this.show();
    return this.side.querySelectorAll(".face .title button")[place]?.focus();
  }

  evidence(known, face) {
    const canvas = el("canvas", { width: 192, height: 192, role: "img", ariaLabel: texts.explained(known.label) });
    drawFace(canvas, this.image, face, this.asked === "none" ? 0 : known.margin);
    overlay(canvas, known.map);
    return el("div", { className: "why" }, canvas, el("p", { textContent: texts.explained(known.label) }));
  }

  close() {
    URL.revokeObjectURL(this.url);
  }
}

/** A map over a face in grey: orange for the class, blue against it; full colour from the 99th percentile on. */
function overlay(canvas, map) {
  const context = canvas.getContext("2d");
  const picture = context.getImageData(0, 0, canvas.width, canvas.height);
  const sizes = map.flat().map(Math.abs).sort((a, b) => a - b);
  const full = sizes[Math.floor(0.99 * (sizes.length - 1))] || 1;
  for (let y = 0; y < canvas.height; y++) {
    for (let x = 0; x < canvas.width; x++) {
      const at = 4 * (y * canvas.width + x);
      const value = Math.max(-1, Math.min(1, between(map, x / canvas.width, y / canvas.height) / full));
      const grey = 60 + 0.7 * (picture.data[at] * 0.299 + picture.data[at + 1] * 0.587 + picture.data[at + 2] * 0.114);
      const colour = value > 0 ? [230, 97, 1] : [30, 110, 210];
      const cover = 0.8 * Math.abs(value);
      for (let c = 0; c < 3; c++) picture.data[at + c] = grey * (1 - cover) + colour[c] * cover;
      picture.data[at + 3] = 255;
    }
  }
  context.putImageData(picture, 0, 0);
}

/** The map's value at a place, 0 to 1 across, between its numbers. */
function between(map, across, down) {
  const size = map.length - 1;
  const x = across * size, y = down * size;
  const left = Math.floor(x), top = Math.floor(y);
  const right = Math.min(size, left + 1), bottom = Math.min(size, top + 1);
  const a = map[top][left] * (1 - x + left) + map[top][right] * (x - left);
  const b = map[bottom][left] * (1 - x + left) + map[bottom][right] * (x - left);
  return a * (1 - y + top) + b * (y - top);
}
