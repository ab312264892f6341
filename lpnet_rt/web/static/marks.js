// Marks over a picture: boxes, numbers, trails and zones, drawn at the screen's own resolution.
import { contextOf } from "./dom.js";

const COLOURS = { none: "#fff046", tentative: "#a0a096", confirmed: "#5aff78", coasting: "#5abeff" };
export const ZONE_COLOURS = { ignore: "#ff7a50", watch: "#50c8ff" };
const MARGIN_PX = 7, SMALLEST_PX = 24, COASTING_PX = 8, MOST_LABELS = 24;

// Corners of a zone in a frame, pixels; the centre of the first pixel is (0, 0).
export function cornersOf(zone, frame) {
  if (zone.unit !== "share") return zone.points;
  return zone.points.map(([x, y]) => [x * frame.width - 0.5, y * frame.height - 0.5]);
}

export function drawMarks(canvas, frame, view) {
  const { context, width, height } = contextOf(canvas);
  const scale = { x: width / frame.width, y: height / frame.height };
  const at = ([x, y]) => [(x + 0.5) * scale.x, (y + 0.5) * scale.y];
  for (const zone of view.zones) drawZone(context, cornersOf(zone, frame).map(at), zone, view.withNames);
  if (view.withTrails) drawTrails(context, view.book, view.camera, at);
  drawBoxes(context, frame, scale, width);
  return { context, at, width, height };
}

function drawZone(context, corners, zone, withName) {
  context.strokeStyle = context.fillStyle = ZONE_COLOURS[zone.kind];
  context.lineWidth = 1.5;
  trace(context, corners);
  context.closePath();
  context.globalAlpha = 0.08;
  context.fill();
  context.globalAlpha = 0.8;
  context.stroke();
  context.globalAlpha = 1;
  if (!withName) return;
  const left = Math.min(...corners.map(([x]) => x)), top = Math.min(...corners.map(([, y]) => y));
  label(context, zone.name, Math.max(left, 0) + 4, Math.max(top, 0) + 16, ZONE_COLOURS[zone.kind]);
}

export function trace(context, points) {
  context.beginPath();
  points.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
}

function drawTrails(context, book, camera, at) {
  context.lineWidth = 1.5;
  for (const { trail, now } of book.tracks.values()) {
    if (now.state === "tentative" || trail.length < 2) continue;
    const points = trail.map(([x, y]) => at([x + camera[0], y + camera[1]]));
    context.strokeStyle = COLOURS[now.state];
    for (let index = 1; index < points.length; index += 1) {
      context.globalAlpha = 0.1 + 0.6 * (index / points.length);
      trace(context, [points[index - 1], points[index]]);
      context.stroke();
    }
    context.globalAlpha = 1;
  }
}

function drawBoxes(context, frame, scale, width) {
  const found = frame.detections.map((one) => ({
    box: one.box,
    colour: COLOURS[one.track ? one.track.state : "none"],
    text: one.track && one.track.state !== "tentative" ? `#${one.track.id} ${one.score.toFixed(2)}` : one.score.toFixed(2),
  }));
  const half = COASTING_PX / 2;
  const coasting = frame.tracks.map((track) => ({
    box: [track.x - half, track.y - half, track.x + half, track.y + half],
    colour: COLOURS[track.state],
    text: `#${track.id}`,
  }));
  const labels = [];
  [...found, ...coasting].forEach(({ box, colour, text }, index) => {
    const centre = [((box[0] + box[2]) / 2) * scale.x, ((box[1] + box[3]) / 2) * scale.y];
    const reach = [0, 1].map((axis) => Math.max(((box[axis + 2] - box[axis]) / 2) * (axis ? scale.y : scale.x) + MARGIN_PX, SMALLEST_PX / 2));
    brackets(context, centre[0] - reach[0], centre[1] - reach[1], 2 * reach[0], 2 * reach[1], colour);
    if (index >= MOST_LABELS || width < 240) return;
    const above = centre[1] - reach[1] - 6;
    labels.push([text, centre[0] - reach[0], above > 12 ? above : centre[1] + reach[1] + 16, colour]);
  });
  // Labels last, and each where no other one is.
  const taken = [];
  for (const [text, x, y, colour] of labels) {
    const free = [y, y + 42, y - 17, y + 59].find((at) => !taken.some(([tx, ty]) => Math.abs(tx - x) < 62 && Math.abs(ty - at) < 17));
    if (free === undefined) continue;
    taken.push([x, free]);
    label(context, text, x, free, colour, width);
  }
}

function brackets(context, x, y, wide, high, colour) {
  const arm = Math.min(wide, high) / 3;
  const corners = [[x, y, 1, 1], [x + wide, y, -1, 1], [x + wide, y + high, -1, -1], [x, y + high, 1, -1]];
  for (const [style, thick] of [["rgb(0 0 0 / 70%)", 3.5], [colour, 1.5]]) {
    context.strokeStyle = style;
    context.lineWidth = thick;
    for (const [cx, cy, right, down] of corners) {
      trace(context, [[cx + right * arm, cy], [cx, cy], [cx, cy + down * arm]]);
      context.stroke();
    }
  }
}

function label(context, text, x, y, colour, width = Infinity) {
  context.font = "12px system-ui, sans-serif";
  const wide = context.measureText(text).width + 6;
  const left = Math.max(0, Math.min(x, width - wide));
  context.fillStyle = "rgb(0 0 0 / 65%)";
  context.fillRect(left, y - 12, wide, 16);
  context.fillStyle = colour;
  context.fillText(text, left + 3, y);
}
