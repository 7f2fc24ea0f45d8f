// A video file frame by frame, as this browser decodes it.

import { texts } from "./texts.js";

const FAR_S = 1e7;

export class Reel {
  /** Open a file; says why where this browser cannot play it. */
  static async open(file) {
    const video = document.createElement("video");
    const reel = new Reel(video, URL.createObjectURL(file));
    try {
      await reel.#until("loadeddata", () => {
        Object.assign(video, { muted: true, playsInline: true, preload: "auto", src: reel.url });
        video.load();
      });
      if (!Number.isFinite(video.duration)) await reel.at(FAR_S); // a recording without a length gets one by going to its end
    } catch (error) {
      reel.close();
      throw error;
    }
    return reel;
  }

  constructor(video, url) {
    Object.assign(this, { video, url, canvas: document.createElement("canvas") });
  }

  /** Seconds. */
  get length() {
    return this.video.duration;
  }

  /** The picture that is shown so many seconds from the start, on a canvas that the next one takes over. */
  async at(seconds) {
    await this.#until("seeked", () => {
      this.video.currentTime = seconds;
    });
    const { videoWidth: width, videoHeight: height } = this.video;
    if (!width) throw new Error(texts.videoNoPicture);
    Object.assign(this.canvas, { width, height });
    this.canvas.getContext("2d", { willReadFrequently: true }).drawImage(this.video, 0, 0);
    return this.canvas;
  }

  close() {
    this.video.removeAttribute("src");
    this.video.load();
    URL.revokeObjectURL(this.url);
  }

  #until(event, start) {
    return new Promise((done, fail) => {
      this.video.addEventListener(event, done, { once: true });
      this.video.onerror = () => fail(new Error(texts.videoUnreadable));
      start();
    });
  }
}
