// The threshold: sliders, what they would have shown in the last minute, and the change itself.
import { ask, byId, change, colour, contextOf } from "./dom.js";

const REFRESH_MS = 2000, SETTLE_MS = 150, ALARM_STEPS = 1000;

export class ThresholdPanel {
  constructor() {
    this.slider = byId("threshold");
    this.alarms = byId("alarms");
    this.value = 0.5;
    this.rates = [];
    this.minute = {};
    this.source = null;
    this.isHeld = false;
    this.slider.addEventListener("input", () => this.move(Number(this.slider.value)));
    this.alarms.addEventListener("input", () => this.move(this.thresholdOf(this.rateAt(Number(this.alarms.value)))));
    setInterval(() => this.refresh(), REFRESH_MS);
  }

  begin(hello) {
    this.canEdit = hello.can_edit;
    this.rates = hello.rates;
    this.slider.min = Math.max(0.01, Math.floor(hello.floor * 100) / 100);
    byId("alarms-row").hidden = this.rates.length < 2;
    byId("threshold-note").textContent = this.canEdit
      ? "A change acts at once, for every source, until the end of the run."
      : "This page only looks: start it with --web-edit to use another threshold.";
  }

  // The threshold in use, as the server says.
  inUse(threshold) {
    this.used = threshold;
    if (!this.isHeld) this.show(threshold);
  }

  choose(source) {
    this.source = source;
    this.refresh();
  }

  async refresh() {
    if (this.source === null || document.hidden) return;
    this.minute = await ask("/api/minute").catch(() => this.minute);
    this.show(this.value);
  }

  move(threshold) {
    this.isHeld = true;
    this.show(threshold);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.use(threshold), SETTLE_MS);
  }

  async use(threshold) {
    if (!this.canEdit) return;
    try {
      await change("/api/threshold", { threshold });
    } catch (error) {
      byId("threshold-note").textContent = error.message;
    }
    this.isHeld = false;
  }

  show(threshold) {
    this.value = threshold;
    if (document.activeElement !== this.slider || !this.isHeld) this.slider.value = threshold;
    byId("threshold-value").textContent = threshold.toFixed(2);
    if (this.rates.length > 1) {
      const rate = this.rateOf(threshold);
      if (document.activeElement !== this.alarms || !this.isHeld) this.alarms.value = this.placeOf(rate);
      byId("alarms-value").textContent = rate < 10 ? rate.toFixed(1) : rate.toFixed(0);
    }
    const counts = this.minute[this.source];
    if (counts === undefined) return;
    const place = Math.min(100, Math.ceil(threshold * 100 - 1e-6));
    const known = this.canEdit || Math.abs(threshold - (this.used ?? threshold)) < 5e-3 ? "" : " (not in use)";
    byId("preview").textContent =
      `In the last ${Math.round(counts.seconds)} s: ${number(counts.detections[place], "detection")} of ${number(counts.tracks[place], "track")}${known}`;
    this.draw(counts, threshold);
  }

  // Detections of the last minute by score; those that the threshold shows are bright.
  draw(counts, threshold) {
    const { context, width, height } = contextOf(byId("scores"));
    const bins = Array.from({ length: 50 }, (_, bin) => counts.detections[2 * bin] - (counts.detections[2 * bin + 2] ?? 0));
    bins[49] += counts.detections[100];
    const top = Math.log1p(Math.max(...bins, 1));
    bins.forEach((count, bin) => {
      const high = (Math.log1p(count) / top) * (height - 6);
      context.fillStyle = colour(bin / 50 + 0.01 >= threshold ? "--live" : "--dim");
      context.fillRect((bin * width) / 50 + 1, height - high, width / 50 - 2, high);
    });
    context.strokeStyle = colour("--text");
    context.beginPath();
    context.moveTo(threshold * width, 0);
    context.lineTo(threshold * width, height);
    context.stroke();
  }

  // Rates fall while thresholds rise; between the rows of the card, log rates and logits are lines.
  rateOf(threshold) {
    const rows = this.rates.map(([t, rate]) => [logit(t), Math.log(rate)]);
    return Math.exp(between(rows, logit(threshold)));
  }

  thresholdOf(rate) {
    const rows = this.rates.map(([t, r]) => [Math.log(r), logit(t)]).reverse();
    return Math.round((1 / (1 + Math.exp(-between(rows, Math.log(rate))))) * 1e4) / 1e4;
  }

  rateAt(place) {
    const [high, low] = this.ends();
    return Math.exp(low + (high - low) * (place / ALARM_STEPS));
  }

  placeOf(rate) {
    const [high, low] = this.ends();
    return Math.round(((Math.log(rate) - low) / (high - low)) * ALARM_STEPS);
  }

  ends() {
    return [Math.log(this.rates[0][1]), Math.log(this.rates.at(-1)[1])];
  }
}

const number = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;

const logit = (value) => {
  const inside = Math.min(Math.max(value, 1e-6), 1 - 1e-6);
  return Math.log(inside / (1 - inside));
};

function between(rows, x) {
  const after = rows.findIndex(([at]) => at >= x);
  if (after === 0) return rows[0][1];
  if (after < 0) return rows.at(-1)[1];
  const [[x0, y0], [x1, y1]] = [rows[after - 1], rows[after]];
  return y0 + ((y1 - y0) * (x - x0)) / (x1 - x0 || 1);
}
