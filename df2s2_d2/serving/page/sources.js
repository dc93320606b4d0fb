// What can be looked at: a picture, a video, a camera. Each has a `name`, the `records` that were
// found, and `view()`: what is to be seen of it now, with the faces in it.

import { findFaces, readPicture, searchVideo } from "./requests.js";
import { scaled } from "./drawing.js";

// Canvases of some phones hold no more.
const MOST_PIXELS = 16e6;
// Of a video, and of a camera's picture.
const FRAMES_PER_SECOND = 10;
const CAMERA_SIDE = 640;

export class Picture {
  kind = "picture";
  records = [];
  #bitmap = null;

  constructor(file) {
    this.name = file.name || "picture";
    this.file = file;
  }

  async look(threshold, changed) {
    const record = await findFaces(this.file, threshold);
    // Browsers know fewer formats, and turn fewer of them upright, which the sides of a square picture,
    // or of one on its head, would not tell.
    let bitmap = (await isTurnedAlike(this.file)) ? await createImageBitmap(this.file).catch(() => null) : null;
    if (bitmap?.width !== record.width || bitmap.height !== record.height) {
      bitmap = await createImageBitmap(await readPicture(this.file));
    }
    const scale = Math.min(1, Math.sqrt(MOST_PIXELS / (bitmap.width * bitmap.height)));
    if (scale < 1) {
      bitmap = await createImageBitmap(bitmap, {
        resizeWidth: Math.floor(scale * bitmap.width),
        resizeHeight: Math.floor(scale * bitmap.height),
        resizeQuality: "high",
      });
    }
    this.#bitmap = bitmap;
    this.records = [record];
    changed();
  }

  view() {
    if (!this.#bitmap) return null;
    const [{ width, faces }] = this.records;
    return { source: this.#bitmap, size: this.#bitmap, faces: scaled(faces, this.#bitmap.width / width) };
  }
}

/** Whether browsers turn an image file upright as the service does: JPEGs, and what tells no orientation. */
async function isTurnedAlike(file) {
  const text = new TextDecoder("latin1").decode(await file.arrayBuffer());
  return text.startsWith("\u00ff\u00d8") || !/exif|tiff:orientation/i.test(text);
}

export class Film {
  kind = "film";
  records = [];
  isDone = false;
  #video = document.createElement("video");

  constructor(file) {
    this.name = file.name || "video";
    this.file = file;
    this.#video.muted = true;
    this.#video.playsInline = true;
    this.#video.preload = "auto";
    this.#video.src = URL.createObjectURL(file);
  }

  /** Seconds up to which there are records. */
  get end() {
    return this.records.at(-1)?.time ?? 0;
  }

  get time() {
    return this.#video.currentTime;
  }

  get isPlaying() {
    return !this.#video.paused;
  }

  /** Whether this browser can show it. */
  get isShown() {
    return this.#video.videoWidth > 0;
  }

  async look(threshold, changed) {
    for (const event of ["loadeddata", "seeked", "pause"]) {
      this.#video.addEventListener(event, changed);
    }
    for await (const record of searchVideo(this.file, threshold, FRAMES_PER_SECOND)) {
      if ("num_frames" in record) {
        if (record.problem) throw new Error(record.problem);
        break;
      }
      this.records.push(record);
      if (this.isShown && !this.#video.seeking) this.seek(record.time);
      changed();
    }
    this.isDone = true;
    this.seek(0);
    changed();
  }

  seek(time) {
    this.#video.currentTime = time;
  }

  /** Play as far as there are records, or stop; `changed` is called at each frame. */
  toggle(changed) {
    if (this.isPlaying) return this.#video.pause();
    if (this.time >= this.end) this.seek(0);
    const next = this.#video.requestVideoFrameCallback?.bind(this.#video) ?? requestAnimationFrame;
    const step = () => {
      if (this.time >= this.end) this.#video.pause();
      changed();
      if (this.isPlaying) next(step);
    };
    next(step);
    return this.#video.play();
  }

  view(isHidden) {
    if (!this.isShown || !this.records.length) return null;
    const { videoWidth: width, videoHeight: height } = this.#video;
    const later = this.records.findIndex((record) => record.time > this.time);
    const [before, after] = [this.records.at(later === -1 ? -1 : Math.max(0, later - 1)), this.records[later]];
    // Between two frames that were looked at, a face is hidden where it was and where it will be.
    const faces = isHidden && after ? [...before.faces, ...after.faces] : before.faces;
    return { source: this.#video, size: { width, height }, faces: scaled(faces, width / before.width) };
  }
}

export class Camera {
  kind = "camera";
  name = "camera";
  records = [];
  #video = document.createElement("video");
  #shot = null;
  #stream = null;

  /** Look at one picture after the other until the camera is stopped. */
  async look(threshold, changed) {
    this.#stream = await openCamera();
    this.#video.muted = true;
    this.#video.playsInline = true;
    this.#video.srcObject = this.#stream;
    await this.#video.play();
    while (this.#stream) {
      const shot = shrunk(this.#video);
      const file = await new Promise((done) => shot.toBlob(done, "image/jpeg", 0.9));
      const record = await findFaces(file, threshold);
      // Picture and faces are of one moment.
      [this.#shot, this.records] = [shot, [record]];
      changed();
      if (document.hidden) {
        await new Promise((seen) => document.addEventListener("visibilitychange", seen, { once: true }));
      }
    }
  }

  stop() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
  }

  view() {
    return this.#shot && { source: this.#shot, size: this.#shot, faces: this.records[0].faces };
  }
}

async function openCamera() {
  if (!navigator.mediaDevices) {
    throw new Error("Browsers lend their camera on https:// and on localhost alone.");
  }
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
  } catch (error) {
    if (error.name === "NotAllowedError") throw new Error("The camera was not allowed.");
    throw new Error("There is no camera that can be used.");
  }
}

function shrunk(video) {
  const scale = Math.min(1, CAMERA_SIDE / Math.max(video.videoWidth, video.videoHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(scale * video.videoWidth);
  canvas.height = Math.round(scale * video.videoHeight);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return canvas;
}
