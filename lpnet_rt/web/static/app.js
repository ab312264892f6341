// The page: tiles of all sources, the details of one, events; what the server says goes to where it is shown.
import { Connection } from "./connection.js";
import { byId } from "./dom.js";
import { Events } from "./events.js";
import { showPlots } from "./plots.js";
import { ThresholdPanel } from "./threshold.js";
import { Tile } from "./tile.js";
import { TrackTable } from "./tracks.js";
import { ZonePanel } from "./zones.js";

const SMALL_PX = 480, TABLE_MS = 250, TIMELINE_MS = 30_000;

const tiles = new Map();
const view = { withTrails: true, withNames: true };
const table = new TrackTable(byId("tracks"), byId("no-tracks"));
const threshold = new ThresholdPanel();
const zones = new ZonePanel();
let chosen = null, events = null, session = null, hasEvents = false, tableAt = 0;

const connection = new Connection({
  open(isOpen) {
    byId("link").textContent = isOpen ? "connected" : "connecting";
    byId("link").classList.toggle("open", isOpen);
  },
  hello(message) {
    // Another session is another run: its events and tracks are others.
    if (session !== null && session !== message.session) location.reload();
    session = message.session;
    byId("model").textContent = message.model;
    byId("logout").hidden = !message.needs_token;
    threshold.begin(message);
    zones.allow(message.can_edit, message.can_save);
    message.sources.forEach((name, index) => {
      if (tiles.has(name)) return;
      const tile = new Tile(name, index + 1, choose);
      tile.view = view;
      tiles.set(name, tile);
      byId("sources").append(tile.element);
    });
    for (const [name, history] of Object.entries(message.history)) {
      tiles.get(name).seconds = [];
      for (const second of history) tiles.get(name).note(second);
    }
    events ??= new Events(() => [...tiles.keys()]);
    hasEvents = false;
    choose(tiles.size === 1 ? [...tiles.keys()][0] : tiles.has(location.hash.slice(1)) ? location.hash.slice(1) : null);
  },
  settings(message) {
    threshold.inUse(message.threshold);
    for (const [name, list] of Object.entries(message.zones)) {
      tiles.get(name).zones = list;
      tiles.get(name).drawMarks();
    }
    zones.list();
  },
  status(message) {
    for (const [name, second] of Object.entries(message.sources)) tiles.get(name).note(second);
    if (chosen !== null) showPlots(tiles.get(chosen).seconds);
    const watching = message.viewers === 1 ? "1 viewer" : `${message.viewers} viewers`;
    byId("link").title = `${watching}, up to ${message.picture_hz} pictures a second`;
  },
  events(message) {
    events.take(message.rows, !hasEvents);
    hasEvents = true;
  },
  async pictures(parts) {
    if (!document.hidden) await new Promise(requestAnimationFrame);
    for (const part of parts) tiles.get(part.frame.source)?.show(part);
    const now = performance.now();
    if (chosen === null || now - tableAt < TABLE_MS) return;
    tableAt = now;
    table.show(tiles.get(chosen).book);
  },
});

// Enlarge a source, or show all of them with null.
function choose(name) {
  const isNew = chosen !== name;
  chosen = name;
  document.querySelector("main").classList.toggle("one", name !== null);
  byId("details").hidden = name === null;
  byId("back").hidden = name === null || tiles.size < 2;
  byId("title").textContent = name ?? "lpnet-rt";
  document.title = name === null ? "lpnet-rt" : `${name} · lpnet-rt`;
  for (const tile of tiles.values()) tile.element.classList.toggle("chosen", tile.name === name);
  if (isNew && tiles.size > 1) history.replaceState(null, "", name === null ? "/" : `#${name}`);
  threshold.choose(name);
  zones.choose(name === null ? null : tiles.get(name));
  if (name !== null) showPlots(tiles.get(name).seconds);
  askForPictures();
}

// A hidden page wants no pictures, an enlarged source hides the others, and small tiles want small pictures.
function askForPictures() {
  const want = {};
  for (const tile of tiles.values()) {
    if (document.hidden || (chosen !== null && chosen !== tile.name)) continue;
    const pixels = tile.stage.clientWidth * (window.devicePixelRatio || 1);
    want[tile.name] = pixels > SMALL_PX * 1.25 || chosen === tile.name ? "full" : "small";
  }
  connection.wants(want);
}

function neighbour(step) {
  const names = [...tiles.keys()];
  const at = chosen === null ? (step > 0 ? -1 : 0) : names.indexOf(chosen);
  choose(names[(at + step + names.length) % names.length]);
}

function setLight(isLight) {
  document.documentElement.classList.toggle("light", isLight);
  byId("light").textContent = isLight ? "Dark" : "Light";
  byId("light").setAttribute("aria-pressed", String(isLight));
  localStorage.setItem("light", isLight ? "1" : "");
  events?.drawTimeline();
}

function toggle(key) {
  view[key] = !view[key];
  for (const tile of tiles.values()) tile.drawMarks();
}

const isLight = () => document.documentElement.classList.contains("light");
const KEYS = {
  ArrowLeft: () => neighbour(-1),
  ArrowRight: () => neighbour(1),
  Escape: () => tiles.size > 1 && choose(null),
  l: () => setLight(!isLight()),
  t: () => toggle("withTrails"),
  n: () => toggle("withNames"),
  z: () => zones.begin("ignore"),
  w: () => zones.begin("watch"),
  "?": () => byId("keys").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input, dialog *") || document.querySelector("dialog[open]")) return;
  const names = [...tiles.keys()];
  const action = KEYS[event.key] ?? KEYS[event.key.toLowerCase()] ?? (/^[1-9]$/.test(event.key) && names[event.key - 1] && (() => choose(names[event.key - 1])));
  if (!action) return;
  event.preventDefault();
  action();
});
byId("back").addEventListener("click", () => choose(null));
byId("light").addEventListener("click", () => setLight(!isLight()));
byId("help").addEventListener("click", () => byId("keys").showModal());
document.addEventListener("visibilitychange", askForPictures);
window.addEventListener("resize", () => {
  askForPictures();
  events?.drawTimeline();
});
setInterval(() => events?.drawTimeline(), TIMELINE_MS);
setLight(localStorage.getItem("light") === "1");
