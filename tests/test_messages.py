import base64
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lpnet_rt.detections import Detections
from lpnet_rt.errors import LpnetError, MessageError
from lpnet_rt.frames import Frame
from lpnet_rt.messages import (
    EndMessage,
    FrameMessage,
    LatencyMessage,
    StatusMessage,
    decode,
    encode,
    json_schema,
    topic_of,
)
from lpnet_rt.reports import Latency, Report
from lpnet_rt.stamping import FrameStamper, event_messages, frame_message
from lpnet_rt.tracking import CameraMotion, TrackEvent, Tracks, TrackState, TrackUpdate

LIMIT = 2**53 - 1
SCHEMA_FILE = Path(__file__).parent.parent / "docs" / "messages.schema.json"


class StoppedClock:
    def __init__(self) -> None:
        self.us = 1_700_000_000_000_000

    def monotonic_ns(self) -> int:
        return 0

    def unix_us(self) -> int:
        self.us += 1
        return self.us

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here waits")


def detections(n: int = 2, **columns: object) -> Detections:
    made = {
        "centroid_xy": np.array([[10.12345, 20.5], [3.0, 4.0]], np.float32)[:n],
        "box_xyxy": np.array([[9, 19, 13, 23], [2, 3, 5, 6]], np.int32)[:n],
        "score": np.array([0.98766, 0.5], np.float32)[:n],
        "area_px": np.array([12, 9], np.int32)[:n],
        "peak": np.array([60_000, 200], np.int32)[:n],
        "snr": np.array([12.346, 999.0], np.float32)[:n],
    }
    return Detections(**(made | columns))


def report(
    found: Detections | None = None, error: str | None = None, latency_ms: float = 5.0, **frame: object
) -> Report:
    values = {"index": 7, "source": "clip", "pts_s": 0.25, "t_capture_us": 1_700_000_000_000_000, "t_read_ns": 5}
    image = np.zeros((24, 32), np.uint16)
    return Report(
        frame=Frame(image=image, **(values | frame)),
        detections=detections() if found is None else found,
        latency=Latency(0.1, 0.2, 3.33333, 0.4, latency_ms),
        score_map=np.zeros((24, 32), np.float32),
        error=error,
    )


def made(of: Report) -> FrameMessage:
    return frame_message(of, "0123abcd", 3, "lpnet-rt", 1_700_000_000_000_009)


def check(value: object, schema: dict[str, Any], root: dict[str, Any]) -> None:
    """The part of JSON Schema that our schema uses; an unknown word fails, so that nothing goes unchecked."""
    known = {
        "type",
        "properties",
        "required",
        "enum",
        "minimum",
        "maximum",
        "anyOf",
        "items",
        "prefixItems",
        "minItems",
    }
    known |= {"exclusiveMaximum", "maxItems", "pattern", "$ref", "title", "description", "default"}
    assert set(schema) <= known, set(schema) - known
    if "$ref" in schema:
        return check(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        assert any(fits(value, option, root) for option in schema["anyOf"])
        return None
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "null": type(None)}
    if "type" in schema:
        assert isinstance(value, kinds[schema["type"]])
        assert not isinstance(value, bool)
    if "enum" in schema:
        assert value in schema["enum"]
    if isinstance(value, int | float):
        assert schema.get("minimum", -math.inf) <= value <= schema.get("maximum", math.inf)
    if isinstance(value, dict):
        assert set(schema["required"]) <= set(value)
        for name, part in schema["properties"].items():
            if name in value:  # angles are left out without a camera
                check(value[name], part, root)
    if isinstance(value, list):
        assert schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf)
        parts = schema.get("prefixItems") or [schema["items"]] * len(value)
        for item, part in zip(value, parts, strict=True):
            check(item, part, root)
    return None


def fits(value: object, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    try:
        check(value, schema, root)
    except AssertionError:
        return False
    return True


def kinds_that_fit(payload: bytes) -> list[str]:
    schema = json.loads(SCHEMA_FILE.read_text())
    options = [option["$ref"].rpartition("/")[2] for option in schema["oneOf"]]
    return [name for name in options if fits(json.loads(payload), schema["$defs"][name], schema)]


def refuse_constant(word: str) -> float:
    raise AssertionError(f"{word} is no JSON")


counts = st.integers(0, LIMIT)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.floats(allow_nan=False, allow_infinity=False)
latencies = st.builds(LatencyMessage, queue=numbers, prepare=numbers, infer=numbers, detect=numbers, total=numbers)
found = st.builds(
    msgspec.structs.replace,
    st.just(made(report()).detections[0]),
    cx=numbers,
    cy=numbers,
    box=st.tuples(counts, counts, counts, counts),
    score=st.floats(0, 1),
    area_px=counts,
    peak=st.integers(-LIMIT, LIMIT),
    snr=numbers,
)
frames = st.builds(
    FrameMessage,
    session=texts,
    seq=counts,
    source=texts,
    frame=counts,
    width=counts,
    height=counts,
    t_capture_us=st.integers(-LIMIT, LIMIT),
    pts_s=st.none() | numbers,
    t_publish_us=counts,
    latency_ms=latencies,
    dropped=counts,
    model=texts,
    detections=st.lists(found, max_size=4).map(tuple),
    error=st.none() | texts,
)
statuses = st.builds(
    StatusMessage,
    session=texts,
    source=texts,
    seq=st.none() | counts,
    frames=counts,
    dropped=counts,
    failed=counts,
    fps=numbers,
    detections=counts,
    uptime_s=numbers,
    model=texts,
    engine=texts,
    t_publish_us=counts,
)
ends = st.builds(
    EndMessage,
    session=texts,
    source=texts,
    last_seq=st.none() | counts,
    frames=counts,
    reason=st.sampled_from(("end", "interrupted", "error: the disk is full")),
    t_publish_us=counts,
)


@settings(max_examples=150, deadline=None)
@given(st.one_of(frames, statuses, ends))
def test_decode_returns_what_was_encoded_and_the_schema_fits(
    message: FrameMessage | StatusMessage | EndMessage,
) -> None:
    payload = encode(message)
    assert decode(topic_of(message), payload) == message
    assert decode(None, payload) == message
    assert b"\n" not in payload
    json.loads(payload, parse_constant=refuse_constant)
    assert kinds_that_fit(payload) == [type(message).__name__]


def test_frame_message_has_the_published_fields_in_order() -> None:
    told = json.loads(encode(made(report())))
    expected = (
        "v session seq source frame width height t_capture_us pts_s t_publish_us latency_ms dropped model "
        "detections error file clock epoch tracks camera_motion polarity"
    )
    assert " ".join(told) == expected
    assert told["latency_ms"] == {"queue": 0.1, "prepare": 0.2, "infer": 3.333, "detect": 0.4, "total": 5.0}
    assert (told["width"], told["height"], told["frame"], told["seq"], told["pts_s"]) == (32, 24, 7, 3, 0.25)
    assert told["detections"][0] == {
        "cx": 10.123,
        "cy": 20.5,
        "box": [9, 19, 13, 23],
        "score": 0.9877,
        "area_px": 12,
        "peak": 60_000,
        "snr": 12.35,
        "track": None,
    }
    assert told["error"] is None


def test_a_frame_without_detections_is_a_message_too() -> None:
    told = made(report(Detections.empty(), pts_s=None))
    assert told.detections == ()
    assert told.pts_s is None
    assert decode(None, encode(told)) == told


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (report(detections(score=np.array([0.9, np.nan], np.float32))), "detection 1"),
        (report(detections(snr=np.array([np.inf, 1], np.float32))), "detection 0"),
        (report(detections(centroid_xy=np.full((2, 2), np.nan, np.float32))), "detection 0"),
        (report(detections(score=np.array([1.5, 0.5], np.float32))), "0..1"),
        (report(latency_ms=math.nan), "latency total"),
        (report(pts_s=math.inf), "pts_s"),
        (report(t_capture_us=2**53), "t_capture_us"),
        (report(error="no answer\nfrom the engine \ud800"), "no answer from the engine ?"),
    ],
)
def test_what_cannot_be_written_makes_the_frame_a_failed_one(broken: Report, named: str) -> None:
    told = made(broken)
    assert told.error is not None
    assert named in told.error
    assert told.detections == ()
    assert kinds_that_fit(encode(told)) == ["FrameMessage"]


@pytest.mark.parametrize(
    "change",
    [{"pts_s": math.nan}, {"seq": -1}, {"seq": 2**53}, {"width": "32"}, {"detections": (3,)}, {"model": "\ud800"}],
)
def test_encode_refuses_what_the_schema_does_not_allow(change: dict[str, object]) -> None:
    with pytest.raises(MessageError, match=r"cannot be written|finite"):
        encode(msgspec.structs.replace(made(report()), **change))


def test_decode_ignores_fields_of_a_later_version() -> None:
    told = made(report())
    later = json.loads(encode(told))
    later["trails"] = [1, 2]
    later["detections"][0]["speed"] = 3.5
    assert decode(topic_of(told), json.dumps(later).encode()) == told


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"hello",
        b"\xff\x00",
        b"[]",
        b"null",
        b"{}",
        b'{"v":1}',
        b'{"v":2}',
        b'{"v":1,"kind":"weather"}',
        b'{"v":1,"x":' + b"[" * 100_000,
        encode(made(report())).replace(b'"seq":3', b'"seq":"3"'),
        encode(made(report())).replace(b'"seq":3', b'"seq":9007199254740993'),
        encode(made(report())).replace(b'"score":0.5', b'"score":1.5'),
        encode(made(report())).replace(b'"score":0.5', b'"score":NaN'),
        encode(made(report()))[:-1],
    ],
)
def test_decode_refuses_rubbish_in_one_line(payload: bytes) -> None:
    with pytest.raises(LpnetError, match=r"^message: ") as caught:
        decode(None, payload)
    assert "\n" not in str(caught.value)


def test_decode_refuses_a_topic_of_another_message() -> None:
    told = made(report())
    for topic in (b"lpnet.v1.det.other.", b"lpnet.v1.status.clip.", b"lpnet.v1.det.clip", b"\xff"):
        with pytest.raises(MessageError, match="topic"):
            decode(topic, encode(told))


def test_topics_end_in_a_dot_so_that_prefixes_do_not_match_longer_names() -> None:
    longer = msgspec.structs.replace(made(report()), source="clip2")
    assert topic_of(made(report())) == b"lpnet.v1.det.clip."
    assert not topic_of(longer).startswith(topic_of(made(report())))


def test_the_stamper_gives_one_report_one_message() -> None:
    stamper = FrameStamper("lpnet-rt", StoppedClock())
    first, second = report(), report()
    assert stamper.last_seq is None
    assert stamper.stamp(first) is stamper.stamp(first)
    assert [stamper.stamp(r).seq for r in (first, second, second)] == [0, 1, 1]
    assert stamper.last_seq == 1
    assert stamper.session != FrameStamper("lpnet-rt", StoppedClock()).session


def test_the_published_schema_is_current() -> None:
    assert json.loads(SCHEMA_FILE.read_text()) == json_schema(), "run scripts/write_schema.py"


def test_the_example_in_the_documentation_is_a_message() -> None:
    text = (SCHEMA_FILE.parent / "messages.md").read_text()
    example = text.partition("```json\n")[2].partition("```")[0].encode()
    assert decode(b"lpnet.v1.det.mast.", example).seq == 12
    assert kinds_that_fit(example) == ["FrameMessage"]


def tracked() -> Report:
    """Two detections and three tracks: one of the first detection, one that coasts, one that is only tentative."""
    tracks = Tracks(
        id=np.array([7, 8, 9]),
        state=np.array([TrackState.CONFIRMED, TrackState.COASTING, TrackState.TENTATIVE], np.int8),
        age_frames=np.array([30, 20, 2], np.int32),
        age_s=np.array([1.0, 0.7, 0.1]),
        hits=np.array([28, 11, 2], np.int32),
        probability=np.array([0.98765, 0.9, 0.1]),
        xy=np.array([[10.0, 20.0], [30.12345, 40.0], [1.0, 2.0]]),
        velocity_xy=np.array([[1.5, -2.5], [0.0, 3.0], [0.0, 0.0]]),
        covariance=np.zeros((3, 4, 4)),
    )
    chip = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    event = TrackEvent(
        "confirmed",
        7,
        True,
        1.0,
        (9.0, 19.0),
        (10.0, 20.0),
        0.9,
        0.99,
        0.98765,
        chip,
    )
    update = TrackUpdate(
        t_s=1.0,
        epoch=0,
        detection_track_id=np.array([7, 0]),
        detection_state=np.array([TrackState.CONFIRMED, -1], np.int8),
        tracks=tracks,
        camera_motion=CameraMotion(0.12345, -1.0, 0.8),
        events=(event,),
    )
    return dataclasses.replace(report(), tracks=update)


def test_a_detection_carries_its_track_and_tracks_without_one_stand_beside() -> None:
    told = json.loads(encode(made(tracked())))
    assert told["detections"][0]["track"] == {
        "id": 7, "state": "confirmed", "age": 30, "hits": 28, "probability": 0.9877, "vx": 1.5, "vy": -2.5,
    }  # fmt: skip
    assert told["detections"][1]["track"] is None
    (coasting,) = told["tracks"]
    assert coasting == {
        "id": 8, "state": "coasting", "age": 20, "hits": 11, "probability": 0.9, "vx": 0.0, "vy": 3.0,
        "x": 30.123, "y": 40.0,
    }  # fmt: skip
    assert told["camera_motion"] == {"dx": 0.123, "dy": -1.0, "confidence": 0.8}


def test_an_event_carries_its_chip_at_full_depth() -> None:
    frame = made(tracked())
    (event,) = event_messages(tracked(), "a", 5, frame, 9)
    assert decode(topic_of(event), encode(event)) == event
    assert (event.event_seq, event.track, event.seq, event.first.x, event.duration_s) == (5, 7, frame.seq, 9.0, 0.9)
    assert event.chip is not None
    chip = cv2.imdecode(np.frombuffer(base64.b64decode(event.chip), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(chip, np.arange(4096, dtype=np.uint16).reshape(64, 64))


def test_tracks_that_are_no_numbers_fail_the_frame() -> None:
    broken = tracked()
    assert broken.tracks is not None
    broken.tracks.tracks.xy[1, 0] = np.nan
    message = made(broken)
    assert message.error == "tracks: expected finite numbers, found others"
    assert (message.detections, message.tracks) == ((), ())
