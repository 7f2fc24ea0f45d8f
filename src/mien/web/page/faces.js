// Faces as the page shows them: outlines over the picture, and a panel a face with its probabilities.

import { el, svg } from "./dom.js";
import { colourOf } from "./palette.js";
import { texts } from "./texts.js";

/** The label that is shown: "uncertain" below what is asked for. */
export const shownLabel = (face, sure) => (face.confidence < sure ? texts.uncertain : likeliest(face));

export const likeliest = (face) => Object.entries(face.probs).reduce((best, each) => (each[1] > best[1] ? each : best))[0];

/** Outlines `[svg, badges…]` for a picture of `width` × `height`; a mirrored one is a camera's. */
export function outlines(faces, labels, sure, width, height, mirrored = false) {
  const boxes = svg("svg", { class: "boxes", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  const badges = faces.map((face, place) => {
    const unsure = face.confidence < sure;
    const tone = unsure ? "#8b8d8f" : colourOf(labels, likeliest(face));
    const [x, y, w, h] = face.box;
    const area = { x, y, width: w, height: h, rx: w * 0.08 };
    boxes.append(svg("rect", { ...area, class: "halo" }), svg("rect", { ...area, stroke: tone, class: unsure ? "unsure" : "" }));
    const left = mirrored ? width - x - w : x;
    const far = left + w / 2 > width * 0.7;
    const side = (y < height * 0.07 ? "inside" : "") + (far && y >= height * 0.07 ? " far" : "");
    const at = far && y >= height * 0.07 ? left + w : left;
    const top = `${(100 * Math.max(0, y)) / height}%`;
    return el(
      "span",
      {
        className: `badge ${side}`,
        ariaHidden: "true",
        style: { "--tone": tone, left: `${(100 * Math.max(0, at)) / width}%`, top: side.startsWith("inside") ? top : `max(${top}, 1.6rem)` },
      },
      faces.length > 1 ? el("b", { textContent: `${place + 1} ` }) : null,
      el("span", { textContent: shownLabel(face, sure) }),
    );
  });
  return [boxes, ...badges];
}

/** A list of probabilities, in the model's order, so that rows stay where they are. */
export function bars(face, labels) {
  const best = likeliest(face);
  return el(
    "ul",
    { className: "bars" },
    ...labels.map((label) => {
      const share = face.probs[label] ?? 0;
      return el(
        "li",
        { className: label === best ? "first" : "" },
        el("span", { className: "of", textContent: label, title: label }),
        el("span", { className: "track", ariaHidden: "true" }, el("i", { style: { "--p": `${100 * share}%`, "--tone": colourOf(labels, label) } })),
        el("span", { className: "number", textContent: texts.percent(share) }),
      );
    }),
  );
}

/** The article of a picture or a video: its `name`, its `count`, a button that removes it, its `frame`, and beside that its faces. */
export function sheet({ name, count, frame }, remove, beside, ...below) {
  const button = el("button", { type: "button", className: "quiet small", textContent: texts.removeShort, ariaLabel: texts.remove(name), onclick: remove });
  return el(
    "article",
    { className: "sheet" },
    el("header", {}, el("h2", { textContent: name }), count, button),
    el("div", { className: "body" }, el("div", { className: "view" }, frame), beside),
    ...below,
  );
}

/** A panel for one face, with an answer of each model that was asked. */
export function panel({ number, count, answers, sure, thumb, extra }) {
  const { face } = answers[0];
  const unsure = face.confidence < sure;
  return el(
    "li",
    { className: `face ${unsure ? "unsure" : ""}` },
    el(
      "div",
      { className: "title" },
      thumb,
      el(
        "div",
        { className: "words" },
        el("span", { className: "number", textContent: texts.face(number, count) }),
        el("span", { className: "label", textContent: shownLabel(face, sure) }),
        el("span", { className: "share", textContent: ` ${texts.percent(face.confidence)}` }),
      ),
      extra?.button,
    ),
    el(
      "div",
      { className: "pair" },
      ...answers.map(({ face: each, model }) =>
        el(
          "div",
          {},
          answers.length > 1 ? el("h3", {}, `${model.name}: `, el("b", { textContent: shownLabel(each, sure) })) : null,
          bars(each, model.labels),
        ),
      ),
    ),
    extra?.below,
  );
}

/** The faces of two models belong together by their boxes: both come from one detector, so from left to right. */
export const paired = (answers) =>
  answers[0].faces.map((face) =>
    answers
      .map(({ faces, model }) => ({ face: near(faces, face), model }))
      .filter(({ face: found }) => found),
  );

function near(faces, face) {
  const far = (other) => Math.hypot(other.box[0] - face.box[0], other.box[1] - face.box[1]) + Math.abs(other.box[2] - face.box[2]);
  const [best] = [...faces].sort((a, b) => far(a) - far(b));
  return best && far(best) < face.box[2] ? best : undefined;
}

/** A small picture of a face, level as the model sees it. */
export function thumbnail(source, face, side = 96) {
  const canvas = el("canvas", { className: "thumb", width: side, height: side, ariaHidden: "true" });
  drawFace(canvas, source, face);
  return canvas;
}

/** Draws the square of a face's box into a canvas, turned until the eyes are level, wider by `margin` on each side. */
export function drawFace(canvas, source, face, margin = 0) {
  const context = canvas.getContext("2d");
  const [x, y, width, height] = face.box;
  const side = Math.max(width, height) * (1 + 2 * margin);
  context.save();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.translate(canvas.width / 2, canvas.height / 2);
  context.scale(canvas.width / side, canvas.height / side);
  context.rotate(-tilt(face));
  context.translate(-(x + width / 2), -(y + height / 2));
  context.drawImage(source, 0, 0);
  context.restore();
}

function tilt(face) {
  if (!face.landmarks) return 0;
  const [[ax, ay], [bx, by]] = face.landmarks;
  return Math.hypot(bx - ax, by - ay) < 0.12 * Math.max(face.box[2], face.box[3]) ? 0 : Math.atan2(by - ay, bx - ax);
}
