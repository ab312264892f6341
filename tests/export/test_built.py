from __future__ import annotations

import msgspec

from lpnet_rt.models.built import Built

ENGINE = Built(
    format="tensorrt",
    precision="f16",
    min_size=(1, 512, 640),
    opt_size=(1, 512, 640),
    max_size=(1, 512, 640),
    versions={"tensorrt": "11.1.0"},
    device="NVIDIA H200 sm_90",
)


def test_an_engine_stays_with_its_version_and_its_gpu() -> None:
    assert ENGINE.misfit({"tensorrt": "11.1.0", "other": "1"}, "NVIDIA H200 sm_90") is None
    other = ENGINE.misfit({"tensorrt": "11.2.0"}, "NVIDIA H200 sm_90")
    assert other == "expected tensorrt 11.1.0, with which it was built, found 11.2.0; export it again here"
    assert "found none" in str(ENGINE.misfit({}, "NVIDIA H200 sm_90"))
    assert "for which it was built, found 'NVIDIA L4 sm_89'" in str(
        ENGINE.misfit({"tensorrt": "11.1.0"}, "NVIDIA L4 sm_89")
    )


def test_a_card_without_it_is_that_of_a_plain_onnx_file() -> None:
    assert Built() == msgspec.json.decode(b"{}", type=Built)
    assert (Built().format, Built().precision, Built().min_size) == ("onnx", "f32", None)


def test_a_file_of_one_size_takes_that_size_alone() -> None:
    assert ENGINE.wrong_size((1, 2, 512, 640)) is None
    assert ENGINE.wrong_size((1, 2, 256, 320)) == (
        "expected an input of 1x512x640 (batch, height, width, padded), found 1x256x320; export it for that size"
    )
    assert Built().wrong_size((1, 2, 256, 320)) is None
    assert msgspec.structs.replace(ENGINE, min_size=(1, 64, 64)).wrong_size((1, 2, 256, 320)) is None
