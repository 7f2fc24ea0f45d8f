// What answers without a server: the networks run in this page, in WebAssembly, and no picture leaves it.

import * as ort from "./ort/ort.wasm.min.mjs";
import { BlazeFace, overlap } from "./blazeface.js";
import { crop } from "./crop.js";
import { Reel } from "./reel.js";

ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
ort.env.wasm.numThreads = 1; // more need headers that a plain folder is not served with
ort.env.logLevel = "error";

const SMOOTHING_S = 0.4, FORGET_S = 1, SAME_TRACK = 0.3, PATCHES_ACROSS = 6;

class Browser {
  place = "browser";
  key = "";
  #cards = new Map();
  #sessions = new Map();

  async models() {
    const told = await (await fetch("models.json")).json();
    for (const card of told.models) this.#cards.set(card.name, card);
    await this.#session(told.models[0].file);
    this.#detector = this.#session("blazeface.onnx").then((session) => new BlazeFace(ort, session));
    return told;
  }

  async predict(file, { model, faces }) {
    const canvas = await drawn(file);
    return this.#told(model, await this.#look(canvas, model, faces));
  }

  /** How much of the class's logit each part of the face carries: `mien.explain.occlusion`. */
  async explain(file, { model, faces, face, label }) {
    const card = this.#cards.get(model);
    const { crops } = await this.#look(await drawn(file), model, faces);
    const place = card.labels.indexOf(label);
    return { label, margin: card.crop.margin, map: await this.#occlusion(card, crops[face], place) };
  }

  async camera({ model, faces }) {
    const tracks = new Tracks();
    const answer = (canvas) => this.#followed(canvas, { model, faces }, tracks, performance.now() / 1000);
    return { answer, close: () => {} };
  }

  /** Calls `add` with a line a frame, and with one at the end, as the server does. */
  async video(file, { model, faces, fps }, signal, add) {
    const tracks = new Tracks(), reel = await Reel.open(file);
    let number = 0;
    try {
      for (; number / fps < reel.length; number++) {
        const time = number / fps;
        const found = await this.#followed(await reel.at(time), { model, faces }, tracks, time);
        signal.throwIfAborted();
        add({ frame: number, time_s: time, faces: found });
      }
    } finally {
      reel.close();
    }
    add({ end: { frames: number, time_s: Math.max(0, number - 1) / fps } });
  }

  #detector;

  /** The faces of the next frame of a session, with their numbers and their labels smoothed over time. */
  async #followed(canvas, { model, faces }, tracks, now) {
    const { found, logits } = await this.#look(canvas, model, faces);
    const followed = tracks.follow(found, logits, now);
    return found.map((face, place) => ({ ...record(face, followed[place].logits, this.#cards.get(model)), track: followed[place].number }));
  }

  async #look(canvas, model, faces) {
    const card = this.#cards.get(model);
    const { width, height } = canvas;
    const whole = [{ box: [0, 0, width, height], score: 1, landmarks: null }];
    const found = faces === "none" ? whole : await (await this.#detector).detect(canvas, width, height);
    const picture = canvas.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, width, height);
    const crops = found.map(({ box, landmarks }) => crop(picture, card.crop, box, landmarks));
    return { found, crops, logits: await this.#logits(card, crops) };
  }

  #told(model, { found, logits }) {
    return found.map((face, place) => ({ ...record(face, logits[place], this.#cards.get(model)), track: null }));
  }

  async #logits(card, crops) {
    if (!crops.length) return [];
    const { size, channels } = card.crop;
    const images = new Uint8Array(crops.length * size * size * channels);
    crops.forEach((each, place) => images.set(each, place * each.length));
    const session = await this.#session(card.file);
    const { logits } = await session.run({ images: new ort.Tensor("uint8", images, [crops.length, size, size, channels]) });
    const classes = card.labels.length;
    return crops.map((_, place) => [...logits.data.subarray(place * classes, (place + 1) * classes)]);
  }

  async #occlusion(card, image, place) {
    const { size, channels } = card.crop, side = Math.max(1, Math.round(size / PATCHES_ACROSS));
    const corners = [...new Set([...steps(size - side, Math.max(1, side >> 1)), size - side])];
    const mean = Array.from({ length: channels }, (_, c) => Math.round(image.filter((_, at) => at % channels === c).reduce((a, b) => a + b, 0) / (size * size)));
    const places = corners.flatMap((top) => corners.map((left) => [top, left]));
    const covered = places.map(([top, left]) => {
      const copy = image.slice();
      for (let y = top; y < top + side; y++) for (let x = left; x < left + side; x++) copy.set(mean, (y * size + x) * channels);
      return copy;
    });
    const [[whole], others] = [await this.#logits(card, [image]), await this.#logits(card, covered)];
    const sum = Array.from({ length: size }, () => new Float64Array(size)), times = Array.from({ length: size }, () => new Float64Array(size));
    places.forEach(([top, left], number) => {
      for (let y = top; y < top + side; y++) {
        for (let x = left; x < left + side; x++) {
          sum[y][x] += whole[place] - others[number][place];
          times[y][x] += 1;
        }
      }
    });
    return sum.map((row, y) => [...row].map((value, x) => value / times[y][x]));
  }

  #session(file) {
    if (!this.#sessions.has(file)) this.#sessions.set(file, ort.InferenceSession.create(file, { executionProviders: ["wasm"] }));
    return this.#sessions.get(file);
  }
}

/** A file as a canvas, upright, its colours as they are. */
async function drawn(file) {
  const picture = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const canvas = document.createElement("canvas");
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext("2d", { willReadFrequently: true }).drawImage(picture, 0, 0);
  return canvas;
}

function* steps(end, step) {
  for (let at = 0; at < end; at += step) yield at;
}

/** A face as the server would tell it. */
function record({ box, score, landmarks }, logits, { labels, temperature }) {
  const scaled = logits.map((value) => value / temperature), most = Math.max(...scaled);
  const powers = scaled.map((value) => Math.exp(value - most)), total = powers.reduce((a, b) => a + b, 0);
  const probs = Object.fromEntries(labels.map((label, place) => [label, powers[place] / total]));
  const confidence = Math.max(...Object.values(probs));
  return { label: labels.find((label) => probs[label] === confidence), confidence, probs, box, landmarks, score };
}

/** Who is who from frame to frame, and logits averaged over the past: `mien.session`. */
class Tracks {
  #tracks = [];
  #count = 0;
  #before = -Infinity;

  follow(faces, logits, now) {
    const oldest = Math.min(now - FORGET_S, this.#before);
    this.#before = now;
    this.#tracks = this.#tracks.filter(({ seen }) => seen >= oldest);
    const pairs = faces.flatMap((face, place) => this.#tracks.map((track) => ({ share: overlap(track.box, face.box), place, track })));
    const matched = new Map(), taken = new Set();
    for (const { share, place, track } of pairs.sort((a, b) => b.share - a.share)) {
      if (share < SAME_TRACK || matched.has(place) || taken.has(track)) continue;
      matched.set(place, track);
      taken.add(track);
    }
    return faces.map((face, place) => this.#move(matched.get(place) ?? this.#start(logits[place].length, now), face, logits[place], now));
  }

  #start(classes, now) {
    const track = { number: ++this.#count, seen: now, total: new Array(classes).fill(0), weight: 0 };
    this.#tracks.push(track);
    return track;
  }

  #move(track, face, logits, now) {
    const kept = Math.exp(-Math.max(0, now - track.seen) / SMOOTHING_S);
    track.total = track.total.map((value, place) => kept * value + logits[place]);
    track.weight = kept * track.weight + 1;
    Object.assign(track, { box: face.box, seen: now });
    return { number: track.number, logits: track.total.map((value) => value / track.weight) };
  }
}

export const backend = new Browser();
