// Print the detections that lpnet-rt publishes: node subscriber.mjs [endpoint]; needs `npm install zeromq`.
// With keys: LPNET_KEY=gate.key_secret LPNET_SERVER_KEY=server.key node subscriber.mjs ...
import { readFileSync } from "node:fs"
import { Subscriber } from "zeromq"

const keyIn = (path, kind) => readFileSync(path, "utf8").match(new RegExp(`${kind}-key = "(.{40})"`))[1]
const { LPNET_KEY: own, LPNET_SERVER_KEY: server } = process.env
const keys = own && {
  curvePublicKey: keyIn(own, "public"),
  curveSecretKey: keyIn(own, "secret"),
  curveServerKey: keyIn(server, "public"),
}

const endpoint = process.argv[2] ?? "tcp://127.0.0.1:5556"
const socket = new Subscriber({ receiveHighWaterMark: 256, heartbeatInterval: 2000, heartbeatTimeout: 6000, ...keys })
socket.connect(endpoint)
socket.subscribe("lpnet.v1.")

const streams = new Map() // source to its session, the seq that is due next, and its state
let received = 0
let missed = 0

for await (const [topic, payload] of socket) {
  const kind = topic.toString().split(".")[2]
  const message = JSON.parse(payload)
  const { source, session } = message
  const newest = kind === "end" ? message.last_seq : message.seq
  const after = newest === null ? 0 : newest + 1
  const first = kind === "det" ? after - 1 : after // all frames before this one have been published
  let stream = streams.get(source)
  if (stream === undefined) {
    stream = { session, due: first, state: "live" }
    streams.set(source, stream)
    if (first > 0) console.log(`${source}: joined at seq ${first}`)
  }
  if (stream.session !== session) {
    console.log(`${source}: the publisher has started again`)
    stream.session = session
    stream.due = 0
  }
  if (first > stream.due) {
    console.log(`${source}: missed seq ${stream.due} to ${first - 1}`)
    missed += first - stream.due
  }
  stream.due = Math.max(stream.due, after)

  if (kind === "det") {
    received += 1
    const found = message.detections.map((d) => `(${d.cx.toFixed(1)}, ${d.cy.toFixed(1)}) score ${d.score.toFixed(2)}`)
    console.log(`frame ${message.frame}: ${found.join(", ") || message.error || "nothing"}`)
  } else if (kind === "status" && message.state !== stream.state) {
    stream.state = message.state
    console.log(`${source}: ${message.state} ${message.state_reason ?? ""}`)
  } else if (kind === "end") {
    console.log(`${source}: ${message.reason}, ${received} frames received, ${missed} missed`)
    break
  }
}
socket.close()
