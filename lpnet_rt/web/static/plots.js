// Plots of the last five minutes, one value a second.
import { byId, colour, contextOf } from "./dom.js";

const SECONDS = 300;

export function showPlots(seconds) {
  const last = seconds.at(-1);
  if (last === undefined) return;
  const latency = [["--warn", seconds.map((one) => one.p99_ms)], ["--accent", seconds.map((one) => one.p50_ms)]];
  plot(byId("latency"), latency, " ms");
  plot(byId("rate"), [["--accent", seconds.map((one) => one.fps)]], "");
  byId("latency-now").textContent = `${last.p50_ms.toFixed(1)} / ${last.p99_ms.toFixed(1)}`;
  byId("rate-now").textContent = last.fps.toFixed(1);
  const dropped = last.dropped ? `, ${last.dropped} dropped (${last.late} because detection was behind)` : ", none dropped";
  const failed = last.failed ? `, ${last.failed} failed` : "";
  const back = last.reconnects ? `; it came back ${last.reconnects} times` : "";
  byId("counts").textContent = `${last.frames} frames${dropped}${failed}${back}`;
}

function plot(canvas, lines, unit) {
  const { context, width, height } = contextOf(canvas);
  const top = niceTop(Math.max(...lines.flatMap(([, values]) => values), 1));
  context.font = "10px system-ui, sans-serif";
  context.fillStyle = colour("--dim");
  context.strokeStyle = colour("--line");
  for (const share of [0.5, 1]) {
    const y = Math.round(height - share * (height - 14)) + 0.5;
    context.beginPath();
    context.moveTo(0, y);
    context.lineTo(width, y);
    context.stroke();
    context.fillText(`${+(top * share).toPrecision(3)}${unit}`, 4, y - 3);
  }
  for (const [name, values] of lines) {
    context.strokeStyle = colour(name);
    context.lineWidth = 1.5;
    context.beginPath();
    values.forEach((value, index) => {
      const x = width * (1 - (values.length - 1 - index) / (SECONDS - 1)), y = height - (value / top) * (height - 14);
      if (index) context.lineTo(x, y);
      else context.moveTo(x, y);
    });
    context.stroke();
  }
}

function niceTop(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 10].map((step) => step * power).find((top) => top >= value);
}
