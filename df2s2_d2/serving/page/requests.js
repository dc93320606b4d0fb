// What the page asks of the service. Errors have a message for whoever looks at the page.

const MOST_TRIES = 20;

/** The settings that the service was started with, see /v1/settings. */
export async function readSettings() {
  return (await ask("v1/settings", {})).json();
}

/** The faces of an image above a score, a record as in detections.json. */
export async function findFaces(file, threshold) {
  return (await post("v1/faces", { file, threshold })).json();
}

/** An image as the service sees it, for browsers that cannot show its format. */
export async function readPicture(file) {
  return (await post("v1/picture", { file, look: "plain" })).blob();
}

/**
 * Find the faces of a video.
 * @yields {object} a record for each frame that was looked at; last one with num_frames and problem.
 */
export async function* searchVideo(file, threshold, framesPerSecond, signal) {
  const fields = { file, threshold, frames_per_second: framesPerSecond };
  const response = await post("v1/video", fields, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  let isWhole = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const lines = (pending + value).split("\n");
      pending = lines.pop();
      for (const record of lines.map((line) => JSON.parse(line))) {
        isWhole = "num_frames" in record;
        yield record;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
  if (!isWhole) throw new Error("The answer ended before the video did.");
}

async function post(path, fields, signal) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    // The name that a file has here is nobody's business there.
    if (value instanceof Blob) body.append(name, value, "upload");
    else body.append(name, value);
  }
  return ask(path, { method: "POST", body, signal });
}

async function ask(path, options) {
  for (let tries = 1; ; tries++) {
    let response;
    try {
      response = await fetch(path, options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("The service cannot be reached.");
    }
    if (response.ok) return response;
    const seconds = Number(response.headers.get("Retry-After"));
    if (seconds > 0 && tries < MOST_TRIES) {
      await new Promise((done) => setTimeout(done, 1000 * seconds));
      continue;
    }
    const problem = await response.json().catch(() => ({}));
    throw new Error(problem.detail ?? `The service answers with ${response.status}.`);
  }
}
