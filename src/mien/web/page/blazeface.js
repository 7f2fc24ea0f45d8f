// BlazeFace (Bazarevsky et al. 2019): faces in a picture, in the browser.
//
// Its boxes are brought to those of mien, from mid-forehead to chin, by two numbers: the medians over 66 drawn faces of
// what yuface's boxes are in terms of BlazeFace's. Small faces in large pictures are not found: it sees 256 pixels.

const SIDE = 256;
const SURE = 0.6;
const SAME = 0.3;
const WIDER = 1.152, HIGHER = 0.092;
const GRIDS = [{ stride: 16, cells: 16, each: 2 }, { stride: 32, cells: 8, each: 6 }];
const ANCHORS = GRIDS.flatMap(({ stride, cells, each }) =>
  Array.from({ length: cells * cells * each }, (_, place) => {
    const cell = Math.floor(place / each);
    return [stride * ((cell % cells) + 0.5), stride * (Math.floor(cell / cells) + 0.5)];
  }),
);

export class BlazeFace {
  constructor(ort, session) {
    Object.assign(this, { ort, session, canvas: document.createElement("canvas") });
    this.canvas.width = this.canvas.height = SIDE;
  }

  /** Faces from left to right, with boxes, five points and scores as mien's other detectors give them. */
  async detect(source, width, height) {
    const side = Math.max(width, height), scale = side / SIDE;
    const context = this.canvas.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "#000";
    context.fillRect(0, 0, SIDE, SIDE);
    const [left, top] = [(side - width) / 2, (side - height) / 2];
    context.imageSmoothingQuality = "high";
    context.drawImage(source, left / scale, top / scale, width / scale, height / scale);
    const pixels = context.getImageData(0, 0, SIDE, SIDE).data;
    const input = new Float32Array(3 * SIDE * SIDE);
    for (let from = 0, to = 0; to < input.length; from += 4) for (let c = 0; c < 3; c++) input[to++] = pixels[from + c] / 127.5 - 1;
    const { near, far } = await this.session.run({ picture: new this.ort.Tensor("float32", input, [1, SIDE, SIDE, 3]) });
    const rows = [...rowsOf(near.data), ...rowsOf(far.data)];
    const found = rows.map((row, place) => face(row, ANCHORS[place], scale, left, top)).filter(Boolean);
    return distinct(found).sort((a, b) => a.box[0] + a.box[2] / 2 - b.box[0] - b.box[2] / 2);
  }
}

function* rowsOf(data) {
  for (let at = 0; at < data.length; at += 17) yield data.subarray(at, at + 17);
}

function face(row, [ax, ay], scale, left, top) {
  const score = 1 / (1 + Math.exp(-row[0]));
  if (score < SURE) return null;
  const point = (at) => [(row[at] + ax) * scale - left, (row[at + 1] + ay) * scale - top];
  const [cx, cy] = point(1), side = WIDER * Math.max(row[3], row[4]) * scale;
  const [eye, other, nose, mouth] = [5, 7, 9, 11].map(point);
  const box = [cx - side / 2, cy - HIGHER * row[4] * scale - side / 2, side, side];
  return { box, score, landmarks: [eye, other, nose, mouth, mouth] };
}

/** Of boxes on one face the surest. */
function distinct(found) {
  const kept = [];
  for (const each of found.sort((a, b) => b.score - a.score)) if (!kept.some((other) => overlap(other.box, each.box) > SAME)) kept.push(each);
  return kept;
}

/** Intersection over union. */
export function overlap([ax, ay, aw, ah], [bx, by, bw, bh]) {
  const width = Math.max(0, Math.min(ax + aw, bx + bw) - Math.max(ax, bx));
  const height = Math.max(0, Math.min(ay + ah, by + bh) - Math.max(ay, by));
  return (width * height) / (aw * ah + bw * bh - width * height);
}
