"""Which engine: the one asked for, or the fastest that is installed and passes the self-test.

``auto`` runs every candidate once on the self-test's frame and once for time, and remembers the outcome by machine,
model and versions, so that later starts measure nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.metadata
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from lpnet_rt.detections import HotPixels, detect_hot, hot_pixels, least_score
from lpnet_rt.engines.base import DeviceEngine, Engine
from lpnet_rt.engines.candidates import Candidate, candidates_for, gpu
from lpnet_rt.errors import EngineError, LpnetError
from lpnet_rt.frames import GreyImage
from lpnet_rt.inputs import prepare, restore
from lpnet_rt.models import ModelFile
from lpnet_rt.selftest import SELF_TEST_THRESHOLD, disagreement, self_test_frame
from lpnet_rt.settings import DetectorSettings

__all__ = ["Choice", "cache_folder", "choose_engine"]

_TIMED_HW = (256, 320)
_TIMED_RUNS = 7


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine ready to run, and why it was taken."""

    engine: Engine
    why: str


class _Outcome(msgspec.Struct, frozen=True):
    """What ``auto`` found for one candidate: its best time in milliseconds, or what went wrong."""

    candidate: str
    best_ms: float | None
    problem: str | None


def cache_folder() -> Path:
    """Folder for compiled models and remembered choices; ``LPNET_CACHE`` overrides it."""
    base = os.environ.get("LPNET_CACHE")
    if base:
        return Path(base)
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "lpnet-rt"


def choose_engine(model: ModelFile, settings: DetectorSettings) -> Choice:
    """Load the engine that the settings ask for.

    Raises:
        EngineError: The engine is unknown or missing, or no engine passes the self-test.
        ModelError: The engine cannot read the model.
    """
    least = model.card.built.least
    if least is not None and least[0] > 1:
        raise EngineError(
            f"{model.path}: expected a file that takes one frame at a time, found one of {least[0]}; "
            "export it with --batch 1 or with --dynamic"
        )
    candidates = candidates_for(model)
    if settings.engine != "auto":
        candidate = _forced(candidates, settings)
        return Choice(_open(candidate, model, settings), "asked for")
    able = [c for c in candidates if c.is_for_auto and settings.precision in ("auto", c.precision)]
    if not able:
        names = ", ".join(f"{c}: needs {c.missing}" if c.missing else f"{c}: on request" for c in candidates)
        raise EngineError(f"auto: expected an engine in precision {settings.precision}, found none ({names})")
    if not model.card.self_test.score:
        # Weights files come without a self-test; the first engine is the one that computes them exactly, and fast.
        return Choice(_open(able[0], model, settings), f"the first of {', '.join(map(str, able))}")
    return _fastest(able, model, settings)


def _forced(candidates: list[Candidate], settings: DetectorSettings) -> Candidate:
    named = [c for c in candidates if c.engine == settings.engine]
    if not named:
        known = ", ".join(["auto", *dict.fromkeys(c.engine for c in candidates)])
        raise EngineError(f"--engine {settings.engine}: expected one of {known}")
    fitting = [c for c in named if settings.precision in ("auto", c.precision)]
    if not fitting:
        has = ", ".join(c.precision for c in named)
        raise EngineError(f"--precision {settings.precision}: {settings.engine} runs in {has}")
    for candidate in fitting:
        if candidate.missing is None:
            return candidate
    raise EngineError(f"--engine {settings.engine}: {fitting[0]} is not available here; it needs {fitting[0].missing}")


def _open(candidate: Candidate, model: ModelFile, settings: DetectorSettings) -> Engine:
    """Load a model into an engine; what an engine needs is imported here alone."""
    threads, kind = settings.threads, (candidate.engine, model.path.suffix)
    if kind == ("openvino", ".safetensors"):
        from lpnet_rt.engines.openvino_lpnetga import OpenVINOLPNetGAEngine

        return OpenVINOLPNetGAEngine(model, candidate.precision, threads)
    if kind == ("torch", ".safetensors"):
        from lpnet_rt.engines.torch_lpnetga import TorchLPNetGAEngine

        return TorchLPNetGAEngine(model, candidate.precision, threads)
    if candidate.engine == "openvino":
        from lpnet_rt.engines.openvino import OpenVINOEngine

        return OpenVINOEngine(model, candidate.precision, threads, cache_folder() / "openvino")
    if candidate.engine == "torch":
        from lpnet_rt.engines.torch_lpnet_rt import TorchLPNetRTEngine

        return TorchLPNetRTEngine(model, candidate.precision, threads)
    if candidate.engine == "tensorrt":
        from lpnet_rt.engines.tensorrt import TensorRTEngine

        return TensorRTEngine(model, cache_folder() / "tensorrt")
    from lpnet_rt.engines.onnxruntime import OnnxRuntimeEngine

    provider = candidate.engine.partition("-")[2] or "cpu"
    return OnnxRuntimeEngine(model, threads, provider, cache_folder() / "onnxruntime")


def _fastest(able: list[Candidate], model: ModelFile, settings: DetectorSettings) -> Choice:
    path = cache_folder() / "choices" / f"{_key(able, model, settings)}.json"
    outcomes = _recall(path, able)
    if outcomes is not None:
        # What was here when it was measured may have gone; then all is measured again.
        with contextlib.suppress(LpnetError):
            best = _best(able, outcomes, model)
            return Choice(_open(best, model, settings), _why(outcomes, model, "measured earlier on this machine"))
    outcomes = [_try(candidate, model, settings) for candidate in able]
    engine = _open(_best(able, outcomes, model), model, settings)
    _remember(path, outcomes)
    return Choice(engine, _why(outcomes, model, "measured now"))


def _best(able: list[Candidate], outcomes: list[_Outcome], model: ModelFile) -> Candidate:
    """The fastest of those that passed.

    Raises:
        EngineError: None did.
    """
    timed = {o.candidate: o.best_ms for o in outcomes if o.best_ms is not None}
    best = min((c for c in able if str(c) in timed), key=lambda c: timed[str(c)], default=None)
    if best is None:
        reasons = "; ".join(f"{o.candidate}: {o.problem}" for o in outcomes)
        raise EngineError(f"auto: no engine passes the self-test of {model.path.name}: {reasons}")
    return best


def _why(outcomes: list[_Outcome], model: ModelFile, when: str) -> str:
    height, width = _timed_hw(model)
    told = ", ".join(f"{o.candidate} {o.problem or f'{o.best_ms:.1f} ms'}" for o in outcomes)
    return f"fastest at {width}x{height} of: {told} ({when})"


def _timed_hw(model: ModelFile) -> tuple[int, int]:
    """Size of frame that engines are timed at: the file's own, where it takes no other."""
    built = model.card.built
    return built.usual[1:] if built.usual is not None and built.least == built.most else _TIMED_HW


def _try(candidate: Candidate, model: ModelFile, settings: DetectorSettings) -> _Outcome:
    """Run the self-test, then take the quickest of a few runs: what else the machine does only ever adds."""
    try:
        engine = _open(candidate, model, settings)
        problem = self_test(engine, model)
        if problem is not None:
            return _Outcome(str(candidate), None, f"fails the self-test: {problem}")
        blank = np.zeros(_timed_hw(model), np.uint8)
        _scored(engine, model, blank)
        times_ns = []
        for _ in range(_TIMED_RUNS):
            began = time.perf_counter_ns()
            _scored(engine, model, blank)
            times_ns.append(time.perf_counter_ns() - began)
    except LpnetError as error:
        return _Outcome(str(candidate), None, str(error))
    return _Outcome(str(candidate), min(times_ns) / 1e6, None)


def self_test(engine: Engine, model: ModelFile) -> str | None:
    """Run the self-test's frame through an engine; None where it agrees with the card, else what differs."""
    image, card = self_test_frame(), model.card
    if card.built.wrong_size(prepare(image, card.input).shape) is not None:
        return None  # a file of another fixed size: what it finds was compared when it was exported
    hot = _scored(engine, model, image)
    if not hot.finite:
        return "expected finite scores, found NaN or infinity"
    found = detect_hot(hot, image, SELF_TEST_THRESHOLD)
    return disagreement(found, card.self_test.centroid_xy, card.self_test.score, engine.precision)


def _scored(engine: Engine, model: ModelFile, image: GreyImage) -> HotPixels:
    """A frame by the way that the detector takes: through the device where the engine has one."""
    if isinstance(engine, DeviceEngine):
        return engine.find([image], least_score(SELF_TEST_THRESHOLD))[0]
    height, width = image.shape
    scores = restore(engine.score(prepare(image, model.card.input)), (height, width), model.card.input)
    if not np.isfinite(scores).all():
        return HotPixels.failed((height, width))
    return hot_pixels(scores, SELF_TEST_THRESHOLD)


def _key(able: list[Candidate], model: ModelFile, settings: DetectorSettings) -> str:
    """Everything that the outcome of a measurement depends on."""
    versions = [f"{name} {_version(name)}" for name in sorted({c.engine.partition("-")[0] for c in able})]
    machine = f"{platform.machine()} {_processor()} {len(os.sched_getaffinity(0))} {settings.threads} {gpu()}"
    machine += f" {os.environ.get('CUDA_VISIBLE_DEVICES')}"
    text = "\n".join([model.card.file_sha256, machine, *versions, *map(str, able)])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _version(engine: str) -> str:
    try:
        return importlib.metadata.version(engine)
    except importlib.metadata.PackageNotFoundError:
        # The module can come from a package of another name, such as onnxruntime-gpu.
        return str(importlib.import_module(engine).__version__)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    wanted = ("model name", "flags", "Features")
    return " ".join(sorted({line for line in lines if line.startswith(wanted)}))


def _recall(path: Path, able: list[Candidate]) -> list[_Outcome] | None:
    try:
        outcomes = msgspec.json.decode(path.read_bytes(), type=list[_Outcome])
    except (OSError, msgspec.MsgspecError):
        return None  # nothing remembered, or nothing readable: measure again
    whole = [o.candidate for o in outcomes] == [str(c) for c in able]
    return outcomes if whole and any(o.best_ms is not None for o in outcomes) else None


def _remember(path: Path, outcomes: list[_Outcome]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        partial.write_bytes(msgspec.json.encode(outcomes))
        partial.replace(path)
    except OSError:
        return  # a read-only home costs a measurement at every start, nothing else
