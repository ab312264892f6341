// The WebSocket: texts are JSON, binary messages are pictures, each with the JSON of the same frame.

const FIRST_WAIT_MS = 500, LONGEST_WAIT_MS = 8000;

export class Connection {
  // handlers: hello, status, settings, events (message), pictures (parts, done), open (boolean)
  constructor(handlers) {
    this.handlers = handlers;
    this.want = {};
    this.wait = FIRST_WAIT_MS;
    this.connect();
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.socket = new WebSocket(`${scheme}://${location.host}/ws`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = (event) => this.take(event.data);
    this.socket.onopen = () => {
      this.wait = FIRST_WAIT_MS;
      this.handlers.open(true);
      this.say({ want: this.want });
    };
    this.socket.onclose = () => this.retry();
  }

  async retry() {
    this.handlers.open(false);
    await new Promise((resolve) => setTimeout(resolve, this.wait));
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
    // A session that has ended shows as a refusal here, which a WebSocket does not tell.
    const answer = await fetch("/api/events?limit=1").catch(() => null);
    if (answer !== null && answer.status === 401) location.assign("/login");
    else this.connect();
  }

  say(wish) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(wish));
  }

  // want: sizes ("small" or "full") of pictures by source.
  wants(want) {
    if (JSON.stringify(want) === JSON.stringify(this.want)) return;
    this.want = want;
    this.say({ want });
  }

  async take(data) {
    if (typeof data === "string") {
      const message = JSON.parse(data);
      this.handlers[message.kind]?.(message);
      return;
    }
    const socket = this.socket;
    try {
      await this.handlers.pictures(await partsOf(data));
    } finally {
      // Only now the next pictures are sent: a slow viewer gets fewer, and nothing queues up.
      if (socket === this.socket) this.say({ ack: new DataView(data).getUint32(0, true) });
    }
  }
}

async function partsOf(data) {
  const view = new DataView(data), parts = [];
  for (let at = 4; at < data.byteLength; ) {
    const headBytes = view.getUint32(at, true), jpegBytes = view.getUint32(at + 4, true);
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, at + 8, headBytes)));
    const jpeg = new Blob([new Uint8Array(data, at + 8 + headBytes, jpegBytes)], { type: "image/jpeg" });
    parts.push({ frame: head.frame, camera: head.camera_xy, picture: createImageBitmap(jpeg) });
    at += 8 + headBytes + jpegBytes;
  }
  for (const part of parts) part.picture = await part.picture;
  return parts;
}
