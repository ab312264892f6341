// Zones: drawn with mouse, finger or keys, in use at once, saved where there is a configuration file.
import { byId, change, make } from "./dom.js";
import { ZONE_COLOURS, trace } from "./marks.js";

const STEP_PX = 10, CLOSE_PX = 10;

export class ZonePanel {
  constructor() {
    this.tile = null;
    this.draft = null;
    for (const kind of ["ignore", "watch"]) byId(`zone-${kind}`).addEventListener("click", () => this.begin(kind));
    byId("zone-close").addEventListener("click", () => this.finish());
    byId("zone-cancel").addEventListener("click", () => this.cancel());
  }

  allow(canEdit, canSave) {
    this.canEdit = canEdit;
    byId("zone-tools").hidden = !canEdit;
    this.rule = canEdit
      ? canSave ? "Zones act at once and are saved in the configuration file." : "Zones act at once; without --config they are not saved."
      : "This page only looks: start it with --web-edit to draw zones.";
    this.say(this.rule);
  }

  choose(tile) {
    this.cancel();
    this.tile = tile;
    this.list();
  }

  list() {
    if (this.tile === null) return;
    const items = this.tile.zones.map((zone, index) => {
      const what = make("span", { className: `chip-${zone.kind}`, textContent: zone.kind });
      const item = make("li", {}, what, make("span", { textContent: zone.name }));
      if (zone.source === null) item.append(make("span", { className: "dim", textContent: "every source" }));
      else if (this.canEdit) {
        const remove = make("button", { type: "button", textContent: "Remove", ariaLabel: `Remove zone ${zone.name}` });
        remove.addEventListener("click", () => this.save(this.tile.zones.filter((_, other) => other !== index)));
        item.append(remove);
      }
      return item;
    });
    byId("zones").replaceChildren(...items);
  }

  begin(kind) {
    if (!this.canEdit || this.tile === null || this.tile.part === null) return;
    this.cancel();
    const { width, height } = this.tile.part.frame;
    this.draft = { kind, points: [], cross: [Math.round(width / 2), Math.round(height / 2)], isHeld: false };
    const { stage } = this.tile;
    this.tile.editor = this;
    stage.classList.add("drawing");
    stage.setAttribute("role", "application");
    stage.setAttribute("aria-label", "Draw a zone: arrows move, Space sets a corner, Enter closes");
    this.handlers = {
      pointerdown: (event) => this.set(event),
      pointermove: (event) => this.move(event),
      dblclick: () => this.finish(),
      keydown: (event) => this.key(event),
    };
    for (const [name, handler] of Object.entries(this.handlers)) stage.addEventListener(name, handler);
    stage.focus();
    this.show();
  }

  set(event) {
    event.preventDefault();
    this.tile.stage.focus();
    const at = this.tile.frameXy(event), [first] = this.draft.points;
    const scale = this.tile.stage.clientWidth / this.tile.part.frame.width;
    const isOnFirst = first && Math.hypot(at[0] - first[0], at[1] - first[1]) * scale < CLOSE_PX;
    if (this.draft.points.length >= 3 && isOnFirst) this.finish();
    else this.corner(at);
  }

  move(event) {
    this.draft.cross = this.tile.frameXy(event);
    this.tile.drawMarks();
  }

  corner(at) {
    const last = this.draft.points.at(-1);
    const point = at.map((value) => Math.round(value * 10) / 10);
    // The second click of a double click sets no second corner in the same place.
    if (last === undefined || Math.hypot(point[0] - last[0], point[1] - last[1]) > 0.5) this.draft.points.push(point);
    this.draft.cross = at;
    this.show();
  }

  key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const { draft } = this, { width, height } = this.tile.part.frame;
    if (event.key in moves) {
      const step = event.shiftKey ? 1 : STEP_PX;
      draft.cross = draft.cross.map((value, axis) => Math.min(Math.max(value + step * moves[event.key][axis], 0), (axis ? height : width) - 1));
      this.tile.drawMarks();
    } else if (event.key === " ") this.corner(draft.cross);
    else if (event.key === "Enter") this.finish();
    else if (event.key === "Backspace") {
      draft.points.pop();
      this.show();
    } else if (event.key === "Escape") this.cancel();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  finish() {
    if (this.draft === null) return;
    if (this.draft.points.length < 3) {
      this.say("A zone needs three corners.");
      return;
    }
    const { kind, points } = this.draft;
    const names = new Set(this.tile.zones.map((zone) => zone.name));
    let number = 1;
    while (names.has(`${kind} ${number}`)) number += 1;
    this.cancel();
    this.save([...this.tile.zones, { kind, name: `${kind} ${number}`, unit: "px", points, source: this.tile.name }]);
  }

  cancel() {
    if (this.draft === null) return;
    const { stage } = this.tile;
    for (const [name, handler] of Object.entries(this.handlers)) stage.removeEventListener(name, handler);
    stage.classList.remove("drawing");
    stage.setAttribute("role", "button");
    stage.setAttribute("aria-label", this.tile.name);
    this.tile.editor = this.draft = null;
    this.tile.drawMarks();
    this.say(this.rule);
    this.buttons();
  }

  async save(zones) {
    const own = zones.filter((zone) => zone.source !== null);
    try {
      const answer = await change(`/api/zones/${encodeURIComponent(this.tile.name)}`, { zones: own });
      this.say(answer.saved ? "In use and saved." : "In use; not saved, as there is no --config.");
    } catch (error) {
      this.say(error.message);
    }
  }

  show() {
    const count = this.draft.points.length;
    this.say(count < 3 ? `Corner ${count + 1}: click, tap, or move the cross with the arrows and press Space.` : "Enter, a double click or the first corner closes it.");
    this.buttons();
    this.tile.drawMarks();
  }

  buttons() {
    byId("zone-close").disabled = this.draft === null || this.draft.points.length < 3;
    byId("zone-cancel").disabled = this.draft === null;
  }

  say(text) {
    byId("zone-note").textContent = text;
  }

  draw({ context, at }) {
    const { points, cross, kind } = this.draft;
    context.strokeStyle = context.fillStyle = ZONE_COLOURS[kind];
    context.lineWidth = 2;
    trace(context, [...points, cross].map(at));
    context.stroke();
    for (const [x, y] of points.map(at)) context.fillRect(x - 3, y - 3, 6, 6);
    const [x, y] = at(cross);
    context.lineWidth = 1;
    trace(context, [[x - 10, y], [x + 10, y]]);
    context.stroke();
    trace(context, [[x, y - 10], [x, y + 10]]);
    context.stroke();
  }
}
