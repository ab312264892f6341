"""Model files that a stranger made: each is refused in one line, at once, before an engine sees it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import resource
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import lpnet_rt.models
from lpnet_rt.errors import ModelError
from lpnet_rt.models import find_model, onnx_check
from lpnet_rt.models.onnx_check import onnx_problem
from lpnet_rt.models.openvino_check import openvino_problem

PACKAGED = Path(lpnet_rt.models.__file__).parent / "lpnet-rt.onnx"
MEMORY_BYTES = 2 << 30


def varint(number: int) -> bytes:
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def node(inputs: list[bytes], outputs: list[bytes], *more: bytes) -> bytes:
    return field(
        1, b"".join([*(field(1, n) for n in inputs), *(field(2, n) for n in outputs), field(4, b"Add"), *more])
    )


def tensor(name: bytes, raw: bytes, dims: int = 1, kind: int = 1, more: bytes = b"") -> bytes:
    return field(1, dims) + field(2, kind) + field(8, name) + field(9, raw) + more


def model(*graph: bytes, domain: bytes = b"") -> bytes:
    image, score = field(11, field(1, b"image")), field(12, field(1, b"score"))
    return field(7, b"".join(graph) + image + score) + field(8, field(1, domain) + field(2, 21))


ONE = struct.pack("<f", 1.0)
GOOD = model(field(5, tensor(b"w", ONE)), node([b"image", b"w"], [b"score"]))
CYCLE = model(node([b"image", b"b"], [b"a"]), node([b"a", b"a"], [b"b"]), node([b"a"], [b"score"]))


def with_tensor(name: bytes, content: bytes) -> bytes:
    return model(field(5, content), node([b"image", name], [b"score"]))


def test_a_plain_graph_and_the_packaged_model_pass() -> None:
    assert onnx_problem(GOOD) is None
    assert onnx_problem(PACKAGED.read_bytes()) is None


def test_fields_are_numbered_as_onnx_numbers_them() -> None:
    onnx = pytest.importorskip("onnx")
    for table, message in (
        (onnx_check.MODEL, onnx.ModelProto),
        (onnx_check.GRAPH, onnx.GraphProto),
        (onnx_check.NODE, onnx.NodeProto),
        (onnx_check.ATTRIBUTE, onnx.AttributeProto),
        (onnx_check.TENSOR, onnx.TensorProto),
    ):
        for number, (name, _) in table.items():
            assert message.DESCRIPTOR.fields_by_number[number].name == name


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (CYCLE, "a cycle or a gap: 'b' is used before it is made"),
        (model(node([b"image"], [b"score"]), node([b"image"], [b"score"])), "'score', made twice"),
        (model(node([b"image"], [b"x"])), "an output 'score' that nothing makes"),
        (with_tensor(b"w", tensor(b"w", struct.pack("<f", np.nan))), "NaN or infinity in 'w'"),
        (with_tensor(b"w", tensor(b"w", struct.pack("<e", np.inf), kind=10)), "NaN or infinity in 'w'"),
        (with_tensor(b"w", tensor(b"w", b"\x80\x7f", kind=16)), "NaN or infinity in 'w'"),
        (with_tensor(b"w", tensor(b"w", struct.pack("<d", -np.inf), kind=11)), "NaN or infinity in 'w'"),
        (with_tensor(b"w", tensor(b"w", ONE, dims=1 << 60)), "4 bytes in 'w' for"),
        (with_tensor(b"w", tensor(b"w", ONE, more=field(14, 1))), "one with external data"),
        # The same field with its number, then its length, in one byte more than it takes.
        (with_tensor(b"w", tensor(b"w", ONE, more=b"\xf0\x00\x01")), "a number written with more bytes than it needs"),
        (with_tensor(b"w", tensor(b"w", ONE, more=b"\x6a\x80\x00")), "a number written with more bytes than it needs"),
        (with_tensor(b"w", tensor(b"w", ONE, more=field(13, b"\n\x08location\x12\x01x"))), "one with external data"),
        (with_tensor(b"w", tensor(b"w", ONE, more=field(4, ONE))), "values in two places in 'w'"),
        (with_tensor(b"w", tensor(b"w", ONE, more=field(9, ONE))), "field 9 twice"),
        (model(node([b"image"], [b"score"], field(7, b"evil.ops"))), "operators of the domain 'evil.ops'"),
        (model(node([b"image"], [b"score"]), domain=b"evil"), "operators of the domain 'evil'"),
        (model(node([b"image"], [b"score"], field(5, field(6, b"")))), "control flow"),
        (GOOD + field(25, b""), "one with functions or training of its own"),
        (GOOD + GOOD, "field 7 twice"),
        (GOOD[:-3], "a field that is cut off"),
        (b"\x0b" * 40, "wire type 3"),
        (b"", "no graph"),
        (field(99, 1) * 1_000_001, "too many fields"),
    ],
)
def test_graphs_that_no_engine_should_see(content: bytes, found: str) -> None:
    assert found in str(onnx_problem(content))


def written(folder: Path, content: bytes, file: str = "bad.onnx", **changes: object) -> Path:
    path = folder / file
    path.write_bytes(content)
    card = json.loads(PACKAGED.with_suffix(".json").read_text())
    card |= {"file_sha256": hashlib.sha256(content).hexdigest(), **changes}
    path.with_suffix(".json").write_text(json.dumps(card))
    return path


def refused(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        find_model(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_cycle_is_refused_in_little_memory(tmp_path: Path) -> None:
    """OpenVINO took 4.2 GiB in 9 s, and no signal ended it."""
    path = written(tmp_path, CYCLE)
    done = subprocess.run(
        [sys.executable, "-m", "lpnet_rt", "info", "--model", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES)),
    )
    assert done.returncode == 5, done.stderr
    assert "found a cycle or a gap" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("suffix", [".pt2", ".pth", ".pkl", ".pt"])
def test_files_that_can_run_code_are_not_opened(tmp_path: Path, suffix: str) -> None:
    """torch.export.load unpickles sample inputs: here they would make a file."""
    proof = tmp_path / "ran"

    class Runs:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
            return open, (str(proof), "w")

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("evil/archive_format", "pt2")
        archive.writestr("evil/data/sample_inputs/model.pt", pickle.dumps(Runs()))
    path = written(tmp_path, packed.getvalue(), f"evil{suffix}", built={"format": "torch-export"})
    message = refused(path)
    assert f"found {suffix}, which can run code when it is read; export the model to ONNX" in message
    assert not proof.exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"config": {}}, "missing required field `channels`"),
        ({"config": {"channels": [32, 48, 80], "blocks": [1, 2, 10**6]}}, "<= 16"),
        ({"input": {"multiple": 3}}, "$.input.multiple"),
        ({"input": {"multiple": 48}}, "expected least to be a multiple of 48, found 64"),
        ({"input": {"side_px": 10**6}}, "<= 4096"),
        ({"input": {"least": 10**9}}, "<= 4096"),
        ({"self_test": {"centroid_xy": [], "score": [0.5]}}, "expected as many scores as centroids, 0, found 1"),
        ({"built": {"least": [1, 10**6, 10**6], "usual": [1, 10**6, 10**6]}}, "<= 16384"),
        ({"parameters": -1}, ">= 0"),
        ({"name": ""}, "length >= 1"),
    ],
)
def test_cards_that_make_no_sense(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    message = refused(written(tmp_path, PACKAGED.read_bytes(), **changes))
    assert "bad.json: not a model card: " in message
    assert reason in message


def test_a_card_that_is_nested_without_end(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    path.with_suffix(".json").write_text('{"config": ' + '{"a":' * 100_000)
    assert "not a model card: " in refused(path)


def test_an_older_card_still_loads(tmp_path: Path) -> None:
    shutil.copy(PACKAGED, tmp_path / "old.onnx")
    card = json.loads(PACKAGED.with_suffix(".json").read_text())
    for later in ("built", "notes", "licences", "measured", "trained_on"):
        del card[later]
    card["input"] = {"normalisation": "frame-and-local", "multiple": 16, "least": 64}
    del card["config"]["scene"]
    (tmp_path / "old.json").write_text(json.dumps(card))
    assert find_model(str(tmp_path / "old.onnx")).card.built.format == "onnx"


def test_a_pipe_or_a_device_is_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    assert "expected a model file, found a device, a pipe or a folder" in refused(tmp_path / "pipe.onnx")
    path = written(tmp_path, GOOD)
    path.with_suffix(".json").unlink()
    path.with_suffix(".json").symlink_to("/dev/zero")
    assert "expected a model card, found a device" in refused(path)


# OpenVINO's own format


def layer(number: int, kind: str, data: str = "", version: str = "opset1") -> str:
    return f'<layer id="{number}" name="l{number}" type="{kind}" version="{version}">{data}</layer>'


def xml(layers: str, edges: str = "", before: str = "", after: str = "") -> bytes:
    return f'<?xml version="1.0"?>{before}<net><layers>{layers}</layers><edges>{edges}</edges>{after}</net>'.encode()


def edge(source: int, to: int) -> str:
    return f'<edge from-layer="{source}" from-port="0" to-layer="{to}" to-port="0"/>'


def constant(offset: int = 0, size: int = 4, shape: str = "1", kind: str = "f32") -> str:
    return f'<data element_type="{kind}" shape="{shape}" offset="{offset}" size="{size}"/>'


TWO = layer(0, "Parameter") + layer(1, "Result")


@pytest.mark.parametrize(
    ("content", "weights", "found"),
    [
        (xml(TWO, edge(0, 1) + edge(1, 0)), b"", "a cycle in its graph"),
        (xml(TWO, edge(0, 7)), b"", "an edge to a layer that is not there"),
        (xml(TWO + TWO), b"", "two layers 0"),
        (xml(TWO, before='<!DOCTYPE a [<!ENTITY b "c">]>'), b"", "a document type or entities"),
        (xml(layer(0, "Evil", version="extension")), b"", "operators of 'extension'"),
        (xml(layer(0, "Loop", "<body><layers/></body>")), b"", "control flow"),
        (xml(layer(0, "Const", constant(offset=8))), ONE, "lies beyond the end of the .bin"),
        (xml(layer(0, "Const", constant(shape="99999"))), ONE, "does not fit its shape"),
        (xml(layer(0, "Const", constant())), struct.pack("<f", np.nan), "NaN or infinity in a constant"),
        (xml(layer(0, "Const", constant(offset="-4"))), ONE, "'-4' where a number belongs"),  # type: ignore[arg-type]
        (xml(layer(0, "Const", constant(kind="q1"))), ONE, "a constant of type 'q1'"),
        (xml("<a>" * 99 + "</a>" * 99), b"", "inside one another"),
        (xml(TWO)[:-9], b"", "a damaged file"),
        (xml(TWO).decode().encode("utf-16"), b"", "utf-8"),
        (xml(""), b"", "no layers"),
    ],
)
def test_openvino_files_that_openvino_should_not_see(content: bytes, weights: bytes, found: str) -> None:
    assert found in str(openvino_problem(content, weights))


def test_what_openvino_writes_passes(tmp_path: Path) -> None:
    ov = pytest.importorskip("openvino")
    for half in (True, False):
        ov.save_model(ov.Core().read_model(PACKAGED), tmp_path / "x.xml", compress_to_fp16=half)
        content, weights = (tmp_path / "x.xml").read_bytes(), (tmp_path / "x.bin").read_bytes()
        assert openvino_problem(content, weights) is None
