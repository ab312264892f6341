// A tile: the live picture of one source with its marks, state and numbers.
import { make, timeOf } from "./dom.js";
import { drawMarks } from "./marks.js";
import { TrackBook } from "./tracks.js";

const WAITING = { connecting: "Connecting", lost: "Lost: reconnecting", frozen: "The picture is frozen", ended: "Ended" };

export class Tile {
  constructor(name, number, open) {
    this.name = name;
    this.book = new TrackBook();
    this.seconds = [];
    this.zones = [];
    this.part = null;
    this.view = { withTrails: true, withNames: true };
    this.editor = null;
    this.picture = make("canvas", { className: "picture", width: 640, height: 512, ariaHidden: "true" });
    this.marks = make("canvas", { className: "marks", ariaHidden: "true" });
    this.waiting = make("p", { className: "waiting", textContent: "Waiting for the first picture" });
    this.stage = make("div", { className: "stage", tabIndex: 0, role: "button", ariaLabel: `${name}: enlarge` }, this.picture, this.marks, this.waiting);
    this.state = make("span", { className: "state", role: "status" });
    this.numbers = make("span", { className: "numbers" });
    this.reason = make("span", { className: "reason", hidden: true });
    const title = make("span", { className: "name", textContent: name, title: `Key ${number}` });
    this.element = make("article", { className: "tile", ariaLabel: name }, this.stage, make("footer", {}, title, this.state, this.numbers, this.reason));
    this.element.dataset.source = name;
    this.stage.addEventListener("click", () => this.editor === null && open(name));
    this.stage.addEventListener("keydown", (event) => {
      if (this.editor !== null || (event.key !== "Enter" && event.key !== " ")) return;
      event.preventDefault();
      open(name);
    });
    new ResizeObserver(() => this.drawMarks()).observe(this.stage);
  }

  // Picture and marks change together: they belong to the same frame.
  show(part) {
    this.part?.picture.close();
    this.part = part;
    const { picture } = part;
    if (this.picture.width !== picture.width || this.picture.height !== picture.height) {
      this.picture.width = picture.width;
      this.picture.height = picture.height;
    }
    this.picture.getContext("2d").drawImage(picture, 0, 0);
    this.book.note(part.frame, part.camera);
    this.drawMarks();
    this.stage.dataset.frame = part.frame.frame;
    if (this.seconds.length === 0) this.waiting.hidden = true;
  }

  drawMarks() {
    if (this.part === null) return;
    const { frame, camera } = this.part;
    const drawn = drawMarks(this.marks, frame, { ...this.view, zones: this.zones, book: this.book, camera });
    this.editor?.draw(drawn);
  }

  // What the source did in a second.
  note(second) {
    this.seconds.push(second);
    if (this.seconds.length > 300) this.seconds.shift();
    this.state.textContent = second.state;
    this.state.className = `state ${second.state}`;
    const since = second.since_us ? ` since ${timeOf(second.since_us)}` : "";
    const isQuiet = second.state === "live";
    this.state.title = `${second.state}${since}`;
    this.reason.hidden = isQuiet;
    this.reason.textContent = `${second.reason ?? second.state}${since}`;
    this.numbers.textContent = `${second.fps.toFixed(0)} frames/s · ${second.p50_ms.toFixed(0)} ms`;
    const notice = WAITING[second.state];
    this.waiting.hidden = notice === undefined && this.part !== null;
    this.waiting.textContent = notice === undefined ? "Waiting for the first picture" : `${notice}${since}`;
  }

  // From CSS pixels of the stage to pixels of the frame; the centre of the first is (0, 0).
  frameXy(event) {
    const area = this.stage.getBoundingClientRect();
    const { width, height } = this.part.frame;
    return [((event.clientX - area.left) / area.width) * width - 0.5, ((event.clientY - area.top) / area.height) * height - 0.5];
  }
}
