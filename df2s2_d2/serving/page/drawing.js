// Pictures with their faces framed or hidden, upon a canvas.

const FACE_COLOR = "#1aff33";
const UNIT_AREA = 640 * 480;
const MOST_OF_BOX = 0.1;

/** Whether a look makes faces unrecognisable. */
export const hides = (look) => look !== "boxes" && look !== "frames";

/**
 * Show a picture.
 * @param {HTMLCanvasElement} canvas gets the size of the source.
 * @param {CanvasImageSource} source the picture.
 * @param {{width: number, height: number}} size of the source.
 * @param {Array} faces with `box`, in pixels of the source, and `score`.
 * @param {string} look "boxes" (with scores), "frames", "pixelate", "smooth" or "fill".
 * @param {{hiding_margin: number, hiding_cells: number}} settings of the service.
 */
export function draw(canvas, source, size, faces, look, settings) {
  if (canvas.width !== size.width) canvas.width = size.width;
  if (canvas.height !== size.height) canvas.height = size.height;
  const context = canvas.getContext("2d");
  context.fillStyle = "white"; // what is transparent is looked at on white
  context.fillRect(0, 0, size.width, size.height);
  context.drawImage(source, 0, 0, size.width, size.height);
  if (hides(look)) {
    const cells = look === "fill" ? 1 : settings.hiding_cells;
    for (const { box } of faces) hide(context, box, settings.hiding_margin, cells, look);
  } else {
    // The most certain are on top.
    for (const face of [...faces].reverse()) frame(context, face, look === "boxes");
  }
}

/** Boxes in pixels of a picture that is shown in another size. */
export function scaled(faces, scale) {
  return faces.map(({ box, score }) => ({ box: box.map((side) => scale * side), score }));
}

function hide(context, box, margin, cells, look) {
  const { width, height } = context.canvas;
  const added = [margin * (box[2] - box[0]), margin * (box[3] - box[1])];
  const x = Math.max(0, Math.floor(box[0] - added[0]));
  const y = Math.max(0, Math.floor(box[1] - added[1]));
  const w = Math.min(width, Math.ceil(box[2] + added[0])) - x;
  const h = Math.min(height, Math.ceil(box[3] + added[1])) - y;
  if (w <= 0 || h <= 0) return;
  // Of few pixels fewer are kept too.
  const few = new OffscreenCanvas(
    ...[w, h].map((side) => Math.max(1, Math.min(cells, Math.floor(side / 2)))),
  );
  const reduced = few.getContext("2d");
  reduced.imageSmoothingQuality = "high";
  reduced.drawImage(context.canvas, x, y, w, h, 0, 0, few.width, few.height);
  context.imageSmoothingEnabled = look === "smooth";
  context.drawImage(few, 0, 0, few.width, few.height, x, y, w, h);
  context.imageSmoothingEnabled = true;
}

function frame(context, { box, score }, hasLabel) {
  const [x1, y1, x2, y2] = box;
  const scale = Math.max(1, Math.sqrt((context.canvas.width * context.canvas.height) / UNIT_AREA));
  const line = Math.max(1, Math.min(1.5 * scale, MOST_OF_BOX * Math.min(x2 - x1, y2 - y1)));
  context.globalAlpha = Math.max(0.3, score);
  context.strokeStyle = context.fillStyle = FACE_COLOR;
  context.lineWidth = line;
  context.strokeRect(x1 - line / 2, y1 - line / 2, x2 - x1 + line, y2 - y1 + line);
  const text = score.toFixed(2);
  context.font = `${Math.round(12 * scale)}px sans-serif`;
  context.textBaseline = "bottom";
  const width = context.measureText(text).width + 6 * scale;
  if (hasLabel && width <= x2 - x1) {
    const height = 15 * scale;
    const bottom = Math.max(y1 - line, height); // in the picture, at its upper edge
    context.fillRect(x1 - line, bottom - height, width, height);
    context.fillStyle = "black";
    context.fillText(text, x1 - line + 3 * scale, bottom);
  }
  context.globalAlpha = 1;
}
