"""Print what lpnet-rt publishes: [LPNET_KEY=FILE LPNET_SERVER_KEY=FILE] python subscriber.py [endpoint [seconds]]."""

import json
import os
import sys

import zmq.auth

endpoint, wait_s = [*sys.argv[1:3], *["tcp://127.0.0.1:5556", "inf"][len(sys.argv[1:3]) :]]
sub = zmq.Context.instance().socket(zmq.SUB)
if "LPNET_KEY" in os.environ:  # a publisher with keys
    sub.curve_publickey, sub.curve_secretkey = zmq.auth.load_certificate(os.environ["LPNET_KEY"])
    sub.curve_serverkey, _ = zmq.auth.load_certificate(os.environ["LPNET_SERVER_KEY"])
sub.setsockopt(zmq.SUBSCRIBE, b"lpnet.v1.")
sub.connect(endpoint)
received, missed, sessions = 0, 0, {}  # sessions: source to its session and the seq that is due
while sub.poll(None if wait_s == "inf" else float(wait_s) * 1000):
    topic, message = (json.loads(part) if i else part.decode() for i, part in enumerate(sub.recv_multipart()))
    kind, source, session = topic.split(".")[2], message["source"], message["session"]
    newest = message["last_seq" if kind == "end" else "seq"]
    after = 0 if newest is None else newest + 1
    first = after - (kind == "det")  # all before this one have been published
    known, due = sessions.get(source, (session, first))
    if source not in sessions and first:
        print(f"{source}: joined at seq {first}")
    missed += max(0, first - (due if known == session else 0))  # a new session begins at seq 0
    sessions[source] = (session, after)
    if kind == "det":
        received += 1
        found = [f"({d['cx']:.1f}, {d['cy']:.1f}) score {d['score']:.2f}" for d in message["detections"]]
        print(f"frame {message['frame']}: {', '.join(found) or message['error'] or 'nothing'}")
    elif kind == "end":
        print(f"{source}: {message['reason']}, {received} frames received, {missed} missed")
        sys.exit()
sys.exit(f"nothing came from {endpoint} for {wait_s} s; {received} frames received, {missed} missed")
