// Tracks of a source: what was seen of each, its trail, and the table with sparklines.
import { colour, contextOf, make } from "./dom.js";

const TRAIL = 90, SAMPLES = 120, ROWS = 12;

// Remembers the tracks of one source from frame to frame.
export class TrackBook {
  constructor() {
    this.tracks = new Map();
    this.session = null;
  }

  note(frame, camera) {
    if (frame.session !== this.session) this.tracks.clear();
    this.session = frame.session;
    const seen = new Set();
    const placed = frame.detections.filter((found) => found.track).map((found) => ({ ...found.track, x: found.cx, y: found.cy }));
    for (const track of [...placed, ...frame.tracks]) {
      seen.add(track.id);
      const known = this.tracks.get(track.id) ?? { trail: [], probability: [], speed: [] };
      // Trails are kept in the scene, so that they stay with it where the camera moves.
      push(known.trail, [track.x - camera[0], track.y - camera[1]], TRAIL);
      push(known.probability, track.probability, SAMPLES);
      push(known.speed, Math.hypot(track.vx, track.vy), SAMPLES);
      this.tracks.set(track.id, Object.assign(known, { now: track }));
    }
    for (const id of this.tracks.keys()) if (!seen.has(id)) this.tracks.delete(id);
  }
}

function push(list, value, limit) {
  list.push(value);
  if (list.length > limit) list.shift();
}

const ORDER = { confirmed: 0, coasting: 1, tentative: 2 };

// Shows a book in a table; rows are kept, so that a screen reader and a pointer find them again.
export class TrackTable {
  constructor(body, empty) {
    this.body = body;
    this.empty = empty;
    this.rows = new Map();
  }

  show(book) {
    const all = [...book.tracks.entries()].sort(([a, x], [b, y]) => ORDER[x.now.state] - ORDER[y.now.state] || a - b);
    const shown = all.slice(0, ROWS);
    this.empty.hidden = shown.length > 0;
    const ids = new Set(shown.map(([id]) => id));
    for (const [id, row] of this.rows) {
      if (ids.has(id)) continue;
      row.element.remove();
      this.rows.delete(id);
    }
    for (const [id, track] of shown) {
      const row = this.rows.get(id) ?? this.add(id);
      if (this.body.children[shown.findIndex(([other]) => other === id)] !== row.element) this.body.append(row.element);
      row.state.textContent = track.now.state;
      row.state.className = `track-${track.now.state}`;
      row.probability.textContent = track.now.probability.toFixed(2);
      row.speed.textContent = track.speed.at(-1).toFixed(1);
      row.age.textContent = track.now.age;
      sparkline(row.probabilityLine, track.probability, 1);
      sparkline(row.speedLine, track.speed, Math.max(...track.speed, 1));
    }
  }

  add(id) {
    const cells = { state: make("td"), probability: make("span"), speed: make("span"), age: make("td") };
    const lines = { probabilityLine: make("canvas", { ariaHidden: "true" }), speedLine: make("canvas", { ariaHidden: "true" }) };
    const element = make("tr", {}, make("td", { textContent: `#${id}` }), cells.state,
      make("td", {}, cells.probability, lines.probabilityLine), make("td", {}, cells.speed, lines.speedLine), cells.age);
    element.dataset.track = id;
    this.body.append(element);
    const row = { element, ...cells, ...lines };
    this.rows.set(id, row);
    return row;
  }
}

function sparkline(canvas, values, highest) {
  const { context, width, height } = contextOf(canvas);
  context.strokeStyle = colour("--accent");
  context.lineWidth = 1.5;
  context.beginPath();
  values.forEach((value, index) => {
    const x = (index / Math.max(SAMPLES - 1, 1)) * width, y = height - 1.5 - (value / highest) * (height - 3);
    if (index) context.lineTo(x, y);
    else context.moveTo(x, y);
  });
  context.stroke();
}
