// The list of events with chips, the dialog of one event, and the timeline of the day.
import { ask, byId, colour, contextOf, durationOf, make, timeOf } from "./dom.js";

const DAY_US = 24 * 3600 * 1e6, PAGE = 50, MOST = 500, LANE_PX = 14;

export class Events {
  constructor(sources, open) {
    this.sources = sources;
    this.open = open;
    this.rows = new Map();
    this.spans = new Map();
    this.list = byId("events");
    byId("older").addEventListener("click", () => this.older());
    byId("timeline").addEventListener("click", (event) => this.pick(event));
    ask("/api/timeline").then((spans) => {
      for (const [id, source, began, ended, probability] of spans) {
        if (!this.spans.has(id)) this.spans.set(id, { id, source, began_us: began, ended_us: ended, probability });
      }
      this.drawTimeline();
    });
  }

  take(rows, isFirst) {
    for (const row of rows) {
      this.spans.set(row.id, row);
      if (this.rows.has(row.id)) this.fill(this.rows.get(row.id), row);
      else this.list.prepend(this.item(row, !isFirst));
    }
    while (this.list.children.length > MOST) this.drop(this.list.lastElementChild);
    byId("no-events").hidden = this.rows.size > 0;
    byId("events-count").textContent = this.spans.size ? `${this.spans.size}` : "";
    byId("older").hidden = this.list.children.length < PAGE;
    this.drawTimeline();
  }

  drop(element) {
    this.rows.delete(Number(element.dataset.event));
    element.remove();
  }

  async older() {
    const last = Number(this.list.lastElementChild?.dataset.event);
    const rows = await ask(`/api/events?limit=${PAGE}&before=${last}`);
    for (const row of rows) if (!this.rows.has(row.id)) this.list.append(this.item(row, false));
    byId("older").hidden = rows.length < PAGE;
  }

  item(row, isFresh) {
    const button = make("button", { type: "button" });
    const element = make("li", {}, button);
    element.dataset.event = row.id;
    element.classList.toggle("fresh", isFresh);
    if (isFresh) setTimeout(() => element.classList.remove("fresh"), 4000);
    const chip = row.has_chip
      ? make("img", { src: `/api/events/${row.id}/chip.png`, alt: "", width: 56, height: 56, loading: "lazy" })
      : make("span", { className: "nochip" });
    const parts = { title: make("strong"), line: make("small"), more: make("small") };
    button.append(chip, make("span", {}, parts.title, parts.line, parts.more));
    button.addEventListener("click", () => this.show(this.spans.get(row.id)));
    this.rows.set(row.id, parts);
    this.fill(parts, row);
    return element;
  }

  fill(parts, row) {
    parts.title.textContent = `${row.source} #${row.track}`;
    const lasting = row.ended_us === null ? "lasts" : durationOf((row.ended_us - row.began_us) / 1e6);
    parts.line.textContent = `${timeOf(row.began_us)} · ${lasting}`;
    parts.more.textContent = `score ${row.best_score.toFixed(2)} · p ${row.probability.toFixed(2)}`;
  }

  async show(span) {
    const rows = span.first_xy ? [span] : await ask(`/api/events?limit=1&before=${span.id + 1}`);
    const [row] = rows;
    if (row === undefined) return;
    byId("event-title").textContent = `${row.source}, track ${row.track}`;
    const body = byId("event-body");
    body.replaceChildren();
    if (row.has_clip) body.append(make("video", { src: `/api/events/${row.id}/clip`, controls: true, autoplay: true, muted: true }));
    if (row.has_chip) body.append(make("img", { src: `/api/events/${row.id}/chip.png`, alt: "64 by 64 pixels around the target when it was confirmed" }));
    const place = ([x, y]) => `${x.toFixed(0)}, ${y.toFixed(0)} px`;
    const facts = {
      Began: new Date(row.began_us / 1000).toLocaleString([], { hour12: false }),
      Ended: row.ended_us === null ? "it lasts" : `${timeOf(row.ended_us)}, after ${durationOf((row.ended_us - row.began_us) / 1e6)}`,
      "First seen at": place(row.first_xy),
      "Last seen at": place(row.last_xy),
      "Best score": row.best_score.toFixed(3),
      Probability: row.probability.toFixed(3),
    };
    body.append(make("dl", {}, ...Object.entries(facts).flatMap(([name, value]) => [make("dt", { textContent: name }), make("dd", { textContent: value })])));
    byId("event").showModal();
  }

  drawTimeline() {
    const canvas = byId("timeline");
    canvas.style.height = `${18 + LANE_PX * this.sources().length}px`;
    const { context, width, height } = contextOf(canvas);
    const now = Date.now() * 1000, begin = now - DAY_US;
    const x = (us) => ((us - begin) / DAY_US) * width;
    context.font = "10px system-ui, sans-serif";
    context.strokeStyle = colour("--line");
    context.fillStyle = colour("--dim");
    const step = width < 600 ? 6 : 2, first = new Date(begin / 1000);
    first.setMinutes(0, 0, 0);
    for (let at = first.getTime(); at * 1000 < now; at += 3600e3) {
      if (new Date(at).getHours() % step || at * 1000 < begin) continue;
      context.beginPath();
      context.moveTo(x(at * 1000), 0);
      context.lineTo(x(at * 1000), height - 14);
      context.stroke();
      const text = `${String(new Date(at).getHours()).padStart(2, "0")}:00`;
      if (x(at * 1000) < width - 34) context.fillText(text, x(at * 1000) + 2, height - 3);
    }
    this.sources().forEach((name, lane) => {
      context.fillStyle = colour("--live");
      for (const span of this.spans.values()) {
        if (span.source !== name) continue;
        const left = x(span.began_us), wide = Math.max(x(span.ended_us ?? now) - left, 2);
        context.globalAlpha = 0.35 + 0.65 * span.probability;
        context.fillRect(Math.min(left, width - wide), 2 + lane * LANE_PX, wide, LANE_PX - 4);
      }
      context.globalAlpha = 1;
      context.fillStyle = colour("--dim");
      context.fillText(name, 4, 11 + lane * LANE_PX);
    });
  }

  // Open the event of the timeline nearest to a click.
  pick(event) {
    const area = event.target.getBoundingClientRect(), now = Date.now() * 1000;
    const source = this.sources()[Math.floor((event.clientY - area.top - 2) / LANE_PX)];
    const at = now - DAY_US * (1 - (event.clientX - area.left) / area.width), reach = (DAY_US / area.width) * 6;
    const away = (span) => Math.max(span.began_us - at, at - (span.ended_us ?? now), 0);
    const near = [...this.spans.values()].filter((span) => span.source === source && away(span) <= reach);
    if (near.length) this.show(near.reduce((best, span) => (away(span) < away(best) ? span : best)));
  }
}
