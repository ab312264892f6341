from __future__ import annotations

import argparse

import pytest

from lpnet_rt.benchmarks.choosing import chosen_candidates
from lpnet_rt.benchmarks.plan import PARTS, Plan, add_flags, read_plan
from lpnet_rt.engines import list_candidates
from lpnet_rt.errors import SettingsError


def plan_of(*flags: str) -> Plan:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return read_plan(parser.parse_args(flags))


def test_defaults() -> None:
    plan = plan_of()
    assert plan == Plan()
    assert plan.sizes_hw() == [(256, 320), (512, 640), (1024, 1280)]
    assert plan.batches() == [1]
    assert plan.parts() == list(PARTS)


def test_what_is_given_wins_over_quick() -> None:
    quick = plan_of("--quick")
    assert quick.runs == 1
    assert quick.frames < Plan().frames
    assert plan_of("--quick", "--runs", "7").runs == 7
    assert plan_of("--quick", "--runs", "7").frames == quick.frames


def test_lists() -> None:
    plan = plan_of("--sizes", "64x128, 640x512", "--batch", "4,1", "--only", "parity,stages")
    assert plan.sizes_hw() == [(128, 64), (512, 640)]
    assert plan.batches() == [4, 1]
    assert plan.parts() == ["stages", "parity"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--sizes", "640"), "--sizes 640: expected WIDTHxHEIGHT"),
        (("--sizes", "641x512"), "--sizes 641x512: expected WIDTHxHEIGHT, even"),
        (("--sizes", "32x32"), "at least 64"),
        (("--batch", "0"), "--batch 0: expected numbers from 1 to 30"),
        (("--batch", "two"), "--batch two: expected numbers"),
        (("--batch", "1000"), "--batch 1000: expected numbers from 1 to 30"),
        (("--only", "speed"), "--only speed: expected some of stages, end-to-end"),
        (("--frames", "0"), "frames: expected a whole number from 1 to 1,000,000, found 0"),
        (("--live-s", "0"), "live_s: expected a number from over 0 to 86,400"),
    ],
)
def test_what_is_refused(flags: tuple[str, ...], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        plan_of(*flags)
    assert said in str(caught.value)


def test_engines_by_name() -> None:
    able = [candidate for candidate in list_candidates() if candidate.missing is None]
    assert [str(c) for c in chosen_candidates(None)] == [str(c) for c in able if str(c) != "torch bf16"]
    assert [str(c) for c in chosen_candidates("torch:bf16")] == ["torch bf16"]
    assert [str(c) for c in chosen_candidates("onnxruntime:f32,onnxruntime")] == ["onnxruntime f32"]
    assert chosen_candidates("onnxruntime")[0].engine == "onnxruntime"
    with pytest.raises(SettingsError, match=r"--engines onnxrt: expected some of .*onnxruntime:f32"):
        chosen_candidates("onnxrt")
    with pytest.raises(SettingsError, match="--engines onnxruntime:f8: expected some of"):
        chosen_candidates("onnxruntime:f8")
