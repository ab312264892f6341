"""Print the detections that lpnet-rt publishes; needs pyzmq and nothing of lpnet-rt.

python subscriber.py [endpoint]
"""

import json
import sys

import zmq

endpoint = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5556"
sub = zmq.Context.instance().socket(zmq.SUB)
sub.setsockopt(zmq.RCVHWM, 100_000)  # messages kept while this program is busy
sub.setsockopt(zmq.SUBSCRIBE, b"lpnet.v1.")
sub.connect(endpoint)
received, next_seq, missed = 0, 0, 0
while True:
    topic, payload = sub.recv_multipart()
    message = json.loads(payload)
    if topic.startswith(b"lpnet.v1.det."):
        received, missed, next_seq = received + 1, missed + message["seq"] - next_seq, message["seq"] + 1
        found = [f"({d['cx']:.1f}, {d['cy']:.1f}) score {d['score']:.2f}" for d in message["detections"]]
        print(f"frame {message['frame']}: {', '.join(found) or message['error'] or 'nothing'}")
    elif topic.startswith(b"lpnet.v1.end."):
        missed += 0 if message["last_seq"] is None else message["last_seq"] + 1 - next_seq
        print(f"{message['source']}: {message['reason']}, {received} frames received, {missed} missed")
        break
sub.close()
