from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lpnet_rt.sources.headers import HeaderError, image_headers, is_complete


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".jpg", ".tif"])
@pytest.mark.parametrize("shape", [(9, 31), (33, 8, 3)])
def test_size_equals_that_of_the_decoded_image(suffix: str, shape: tuple[int, ...]) -> None:
    encoded = cv2.imencode(suffix, np.zeros(shape, np.uint8))[1].tobytes()
    assert image_headers(encoded)[0].size_hw == shape[:2]
    assert is_complete(encoded)


def test_jpeg_with_leading_application_data() -> None:
    encoded = cv2.imencode(".jpg", np.zeros((24, 40), np.uint8))[1].tobytes()
    thumbnail = b"\xff\xe1" + struct.pack(">H", 2 + 300) + b"\xff\xc0\x00\x11\x08\x00\x01\x00\x01" * 33 + b"\0" * 3
    assert image_headers(encoded[:2] + thumbnail + b"\xff" + encoded[2:])[0].size_hw == (24, 40)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_tiff_of_both_byte_orders_and_offset_sizes(order: str, big: bool) -> None:
    magic = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    if big:
        head = magic + struct.pack(order + "HHQ", 8, 0, 16) + struct.pack(order + "Q", 2)
        entries = [struct.pack(order + "HHQI4x", tag, 4, 1, value) for tag, value in ((256, 640), (257, 512))]
    else:
        head = magic + struct.pack(order + "I", 8) + struct.pack(order + "H", 2)
        entries = [struct.pack(order + "HHIH2x", tag, 3, 1, value) for tag, value in ((256, 640), (257, 512))]
    last = struct.pack(order + ("Q" if big else "I"), 0)
    assert image_headers(head + b"".join(entries) + last)[0].size_hw == (512, 640)


@pytest.mark.parametrize(("suffix", "share"), [(".png", 0.7), (".jpg", 0.7), (".bmp", 0.7)])
def test_a_cut_file_is_not_complete(suffix: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 50), np.uint8)
    encoded = cv2.imencode(suffix, noise)[1].tobytes()
    assert not is_complete(encoded[: int(len(encoded) * share)])


@settings(max_examples=150)
@given(st.binary(max_size=80), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"BM", b"\xff\xd8\xff", b"II*\0", b"MM\0+"]))
def test_any_bytes_give_a_size_or_a_header_error(tail: bytes, magic: bytes) -> None:
    try:
        height, width = image_headers(magic + tail)[0].size_hw
    except HeaderError:
        return
    assert height >= 0
    assert width >= 0
