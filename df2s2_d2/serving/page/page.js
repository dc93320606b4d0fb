// The page: what is dropped on it goes to the service, and the answer is shown upon the picture.

import { draw, hides } from "./drawing.js";
import { readSettings } from "./requests.js";
import { Camera, Film, Picture } from "./sources.js";

// Requests at once: the service looks at several pictures together.
const TOGETHER = 4;

const element = (id) => document.getElementById(id);
const [threshold, look, canvas] = ["threshold", "look", "picture"].map(element);

const settings = await readSettings().catch(complain);
const items = [];
let current = null;
let camera = null;
let isThresholdChosen = false;

if (settings) {
  element("model").textContent = settings.model;
  element("host").textContent = location.host;
  element("limits").textContent =
    `Up to ${settings.image_bytes / 1e6} MB and ${settings.image_pixels / 1e6} million pixels a ` +
    `picture, ${settings.video_bytes / 1e6} MB and ${settings.video_seconds} s a video.`;
  threshold.value = settings.threshold;
}

element("files").addEventListener("change", (event) => {
  add([...event.target.files]);
  event.target.value = ""; // so that the same file may be chosen again
});
addEventListener("paste", (event) => add([...event.clipboardData.files]));
addEventListener("dragover", (event) => {
  event.preventDefault();
  element("drop").classList.add("over");
});
addEventListener("dragleave", () => element("drop").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  element("drop").classList.remove("over");
  add([...event.dataTransfer.files]);
});
element("camera").addEventListener("click", () => (camera ? stopCamera() : startCamera()));
threshold.addEventListener("input", () => {
  isThresholdChosen = true;
  show();
});
look.addEventListener("change", () => {
  // A face that is hidden needlessly does less harm than one that is not.
  if (!isThresholdChosen) {
    threshold.value = hides(look.value) ? settings.hiding_threshold : settings.threshold;
  }
  show();
});
element("play").addEventListener("click", () => current.toggle(show).catch(complain));
element("position").addEventListener("input", (event) => current.seek(Number(event.target.value)));
element("save-picture").addEventListener("click", () =>
  canvas.toBlob((blob) => save(blob, `${stem(current.name)}_faces.png`), "image/png"),
);
element("save-json").addEventListener("click", () =>
  save(new Blob([`${JSON.stringify(records(), null, 1)}\n`]), "detections.json"),
);

/** Look at files, some at once. */
async function add(files) {
  element("problem").hidden = true;
  stopCamera();
  const queue = files.map(itemOf).filter(Boolean);
  if (!queue.length) return;
  items.push(...queue);
  select(queue[0]);
  const work = async () => {
    for (let item; (item = queue.shift()); ) await lookAt(item);
  };
  await Promise.all(Array.from({ length: TOGETHER }, work));
}

function itemOf(file) {
  const isVideo = file.type.startsWith("video/");
  const most = isVideo ? settings.video_bytes : settings.image_bytes;
  if (file.size > most) {
    complain(new Error(`${file.name} has more than ${most / 1e6} MB.`));
    return null;
  }
  return new (isVideo ? Film : Picture)(file);
}

async function lookAt(item) {
  try {
    await item.look(threshold.min, () => item === current && show());
  } catch (error) {
    item.problem = error.message;
    complain(new Error(`${item.name}: ${error.message}`));
    if (!item.records.length) remove(item);
  }
  show();
}

async function startCamera() {
  element("problem").hidden = true;
  camera = new Camera();
  items.push(camera);
  select(camera);
  await lookAt(camera);
  stopCamera();
}

function stopCamera() {
  camera?.stop();
  camera = null;
  show();
}

function select(item) {
  if (current?.isPlaying) current.toggle();
  current = item;
  show();
}

function remove(item) {
  items.splice(items.indexOf(item), 1);
  if (current === item) select(items.at(-1) ?? null);
}

/** Bring everything in line with what is current. */
function show() {
  element("camera").textContent = camera ? "Stop the camera" : "Use the camera";
  element("camera").setAttribute("aria-pressed", Boolean(camera));
  element("threshold-shown").textContent = Number(threshold.value).toFixed(2);
  element("result").hidden = !current;
  if (!current) return;
  showItems();
  const view = current.view(hides(look.value));
  const faces = (view?.faces ?? current.records[0]?.faces ?? []).filter(isAbove);
  canvas.hidden = !view;
  if (view) draw(canvas, view.source, view.size, faces, look.value, settings);
  showPlayer();
  element("status").textContent = statusOf(current, view, faces);
  element("save-picture").disabled = !view;
  element("save-json").disabled = !records().length;
  element("caution").hidden = !hides(look.value);
  element("faces").replaceChildren(...faces.map(rowOf));
}

function showItems() {
  element("items").hidden = items.length < 2;
  element("items").replaceChildren(
    ...items.map((item) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = item.name;
      button.setAttribute("aria-pressed", item === current);
      button.addEventListener("click", () => select(item));
      const entry = document.createElement("li");
      entry.append(button);
      return entry;
    }),
  );
}

function showPlayer() {
  const isReady = current.kind === "film" && current.isShown && (current.isDone || current.problem);
  element("player").hidden = !isReady;
  if (!isReady) return;
  element("play").textContent = current.isPlaying ? "Pause" : "Play";
  element("position").max = current.end;
  element("position").value = current.time;
}

function statusOf(item, view, faces) {
  const count = `${faces.length} ${faces.length === 1 ? "face" : "faces"}`;
  if (item.kind === "film" && item.records.length) {
    const seen = `${item.records.length} frames looked at`;
    if (!item.isDone && !item.problem) return `${seen}, up to ${item.end.toFixed(1)} s …`;
    return view ? `${count} at ${item.time.toFixed(1)} s; ${seen}` : `${seen}; this browser cannot show the video`;
  }
  if (item.records.length) return count;
  return item.problem ? "" : "Looking …";
}

function rowOf({ box, score }) {
  const row = document.createElement("tr");
  for (const text of [score.toFixed(3), ...box.map((side) => side.toFixed(1))]) {
    row.insertCell().textContent = text;
  }
  return row;
}

/** What was found in all items, as in detections.json. */
function records() {
  return items.flatMap((item) =>
    item.records.map(({ faces, ...record }) => ({
      file: item.name,
      ...record,
      faces: faces.filter(isAbove),
    })),
  );
}

function isAbove(face) {
  return face.score > Number(threshold.value);
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

function stem(name) {
  return name.replace(/\.[^.]*$/, "");
}

function complain(error) {
  const problem = element("problem");
  problem.textContent = problem.hidden ? error.message : `${problem.textContent}\n${error.message}`;
  problem.hidden = false;
}
