// From a picture and a face in it to the bytes that a network sees: `mien.crop`, line by line.
//
// OpenCV's arithmetic is followed where it shows: halves round to even, a turn has 32 steps a pixel, shrinking weighs
// areas. `tests/fixtures/crops.json` holds both to the same bytes, give or take one level.

const EYES_APART = 0.12;

/** Halves go to the even number, as Python's round. */
export const rounded = (value) => {
  const down = Math.floor(value), rest = value - down;
  return rest < 0.5 ? down : rest > 0.5 ? down + 1 : down % 2 ? down + 1 : down;
};

/**
 * The crop as `Uint8Array` of `size × size × channels`.
 * @param picture `{data, width, height}`, four bytes a pixel, as canvases have them.
 * @param spec `{size, channels, margin}`
 * @param box `[x, y, width, height]`; none, or the whole picture, takes the picture as a ready-made crop.
 * @param landmarks the eyes first; the picture is turned until they are level.
 */
export function crop(picture, spec, box = null, landmarks = null) {
  const whole = !box || (box[0] === 0 && box[1] === 0 && box[2] === picture.width && box[3] === picture.height);
  if (whole) return resized(coloured(plain(picture), spec.channels), spec.size);
  const tilt = landmarks ? tiltOf(landmarks, Math.max(box[2], box[3])) : 0;
  const face = tilt ? turned(picture, square(box, spec.margin), tilt) : cut(picture, square(box, spec.margin));
  return resized(coloured(face, spec.channels), spec.size);
}

/** Left, top and side of the square to cut. */
function square([x, y, width, height], margin) {
  const side = Math.max(1, rounded(Math.max(width, height) * (1 + 2 * margin)));
  return { left: rounded(x + (width - side) / 2), top: rounded(y + (height - side) / 2), side };
}

/** Radians, clockwise as seen. */
function tiltOf([[ax, ay], [bx, by]], side) {
  return Math.hypot(bx - ax, by - ay) >= EYES_APART * side ? Math.atan2(by - ay, bx - ax) : 0;
}

const clipped = (value, size) => Math.min(size - 1, Math.max(0, value));

function plain({ data, width, height }) {
  const out = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; to < out.length; from += 4, to += 3) out.set(data.subarray(from, from + 3), to);
  return { data: out, width, height, channels: 3 };
}

function cut({ data, width, height }, { left, top, side }) {
  const out = new Uint8Array(3 * side * side);
  for (let y = 0, to = 0; y < side; y++) {
    const row = clipped(top + y, height) * width;
    for (let x = 0; x < side; x++, to += 3) {
      const from = 4 * (row + clipped(left + x, width));
      out[to] = data[from];
      out[to + 1] = data[from + 1];
      out[to + 2] = data[from + 2];
    }
  }
  return { data: out, width: side, height: side, channels: 3 };
}

/** `cut` of the picture turned about the middle of the square; the border is repeated. */
function turned({ data, width, height }, { left, top, side }, tilt) {
  const middle = (side - 1) / 2, cos = Math.cos(tilt), sin = Math.sin(tilt);
  const startX = left + middle - cos * middle + sin * middle, startY = top + middle - sin * middle - cos * middle;
  const out = new Uint8Array(3 * side * side);
  const at = (x, y, c) => data[4 * (clipped(y, height) * width + clipped(x, width)) + c];
  for (let y = 0, to = 0; y < side; y++) {
    const rowX = rounded((startX - sin * y) * 1024) + 16, rowY = rounded((startY + cos * y) * 1024) + 16;
    for (let x = 0; x < side; x++) {
      const across = (rowX + rounded(cos * x * 1024)) >> 5, down = (rowY + rounded(sin * x * 1024)) >> 5;
      const px = across >> 5, py = down >> 5, fx = (across & 31) / 32, fy = (down & 31) / 32;
      for (let c = 0; c < 3; c++) {
        const upper = at(px, py, c) * (1 - fx) + at(px + 1, py, c) * fx;
        const lower = at(px, py + 1, c) * (1 - fx) + at(px + 1, py + 1, c) * fx;
        out[to++] = Math.round(upper * (1 - fy) + lower * fy);
      }
    }
  }
  return { data: out, width: side, height: side, channels: 3 };
}

/** RGB, or grey by ITU-R BT.601. */
function coloured(face, channels) {
  if (channels === 3) return face;
  const out = new Uint8Array(face.width * face.height);
  for (let from = 0, to = 0; to < out.length; from += 3) {
    out[to++] = Math.floor((face.data[from] * 299 + face.data[from + 1] * 587 + face.data[from + 2] * 114 + 500) / 1000);
  }
  return { ...face, data: out, channels: 1 };
}

function resized({ data, width, height, channels }, size) {
  if (width === size && height === size) return data;
  const weights = width > size && height > size ? areas : width > size || height > size ? mixed : between;
  const columns = weights(width, size), rows = weights(height, size);
  const out = new Uint8Array(size * size * channels);
  for (let y = 0, to = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (const [row, heavy] of rows[y]) for (const [column, wide] of columns[x]) sum += heavy * wide * data[(row * width + column) * channels + c];
        out[to++] = rounded(sum);
      }
    }
  }
  return out;
}

/** Of each new pixel the old ones that it covers, with their shares. */
function areas(from, to) {
  const scale = from / to;
  return Array.from({ length: to }, (_, place) => {
    const start = place * scale, end = Math.min(from, start + scale), found = [];
    for (let at = Math.floor(start); at < Math.ceil(end - 1e-9); at++) {
      const share = Math.min(end, at + 1) - Math.max(start, at);
      if (share > 1e-3) found.push([at, share / (end - start)]);
    }
    return found;
  });
}

/** Of each new pixel the two old ones that it lies between. */
function between(from, to) {
  return Array.from({ length: to }, (_, place) => {
    const at = ((place + 0.5) * from) / to - 0.5, first = Math.floor(at), share = at - first;
    return [[clipped(first, from), 1 - share], [clipped(first + 1, from), share]];
  });
}

/** What OpenCV does by areas where one side shrinks and the other grows. */
function mixed(from, to) {
  const inverse = to / from, scale = 1 / inverse; // in this order, since the last bits decide between two pixels
  return Array.from({ length: to }, (_, place) => {
    const first = Math.floor(place * scale);
    const over = Math.fround(place + 1 - (first + 1) * inverse), share = over <= 0 ? 0 : over - Math.floor(over);
    return [[clipped(first, from), 1 - share], [clipped(first + 1, from), share]];
  });
}
