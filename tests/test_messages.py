import json
import math
from pathlib import Path
from typing import Any

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
    FrameStamper,
    LatencyMessage,
    StatusMessage,
    decode,
    encode,
    frame_message,
    json_schema,
    topic_of,
)
from lpnet_rt.reports import Latency, Report

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
    known |= {"maxItems", "pattern", "$ref", "title", "description", "default"}
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
        "detections error file clock epoch"
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
    later["tracks"] = [1, 2]
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
