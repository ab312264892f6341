"""Which engine: the one asked for, or the fastest that is installed and passes the self-test.

``auto`` runs every candidate once on the self-test's frame and once for time, and remembers the outcome by machine,
model and versions, so that later starts measure nothing.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from lpnet_rt.detections import detect
from lpnet_rt.engines.base import Engine
from lpnet_rt.errors import EngineError, LpnetError
from lpnet_rt.inputs import prepare, restore
from lpnet_rt.models import ModelFile
from lpnet_rt.selftest import SELF_TEST_THRESHOLD, disagreement, self_test_frame
from lpnet_rt.settings import DetectorSettings

__all__ = ["Candidate", "Choice", "cache_folder", "choose_engine", "list_candidates", "weights_candidates"]

_TIMED_HW = (256, 320)
_TIMED_RUNS = 7


@dataclass(frozen=True, slots=True)
class Candidate:
    """An engine in a precision, and what is known of it on this machine.

    Attributes:
        engine: ``openvino``, ``onnxruntime`` or, for weights files, ``torch``.
        precision: ``f32`` or ``bf16``.
        missing: None, or what to install to have it.
    """

    engine: str
    precision: str
    missing: str | None = None

    def __str__(self) -> str:
        return f"{self.engine} {self.precision}"


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


def list_candidates() -> list[Candidate]:
    """Every engine and precision that this project knows, with what is missing on this machine."""
    candidates = []
    if importlib.util.find_spec("openvino") is None:
        missing = "pip install openvino (x86-64 and Arm Linux)"
        candidates += [Candidate("openvino", "bf16", missing), Candidate("openvino", "f32", missing)]
    else:
        from lpnet_rt.engines.openvino import has_bf16

        no_bf16 = None if has_bf16() else "a processor with AVX512-BF16 or AMX"
        candidates += [Candidate("openvino", "bf16", no_bf16), Candidate("openvino", "f32")]
    no_ort = None if importlib.util.find_spec("onnxruntime") else "pip install onnxruntime"
    return [*candidates, Candidate("onnxruntime", "f32", no_ort)]


def weights_candidates() -> list[Candidate]:
    """What runs a weights file (``.safetensors``): PyTorch, exact unless bf16 is asked for."""
    missing = None if importlib.util.find_spec("torch") else "pip install 'lpnet-rt[train]'"
    return [Candidate("torch", "f32", missing), Candidate("torch", "bf16", missing)]


def choose_engine(model: ModelFile, settings: DetectorSettings) -> Choice:
    """Load the engine that the settings ask for.

    Raises:
        EngineError: The engine is unknown or missing, or no engine passes the self-test.
        ModelError: The engine cannot read the model.
    """
    weights = model.path.suffix == ".safetensors"
    candidates = weights_candidates() if weights else list_candidates()
    if settings.engine != "auto":
        candidate = _forced(candidates, settings)
        return Choice(_open(candidate, model, settings), "asked for")
    able = [c for c in candidates if c.missing is None and settings.precision in ("auto", c.precision)]
    if not able:
        names = ", ".join(f"{c}: needs {c.missing}" for c in candidates)
        raise EngineError(f"auto: expected an engine in precision {settings.precision}, found none ({names})")
    if weights:
        return Choice(_open(able[0], model, settings), "weights files run in PyTorch alone")
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
    if candidate.engine == "openvino":
        from lpnet_rt.engines.openvino import OpenVINOEngine

        return OpenVINOEngine(model, candidate.precision, settings.threads, cache_folder() / "openvino")
    if candidate.engine == "torch":
        from lpnet_rt.engines.torch_lpnetga import TorchLPNetGAEngine

        return TorchLPNetGAEngine(model, candidate.precision, settings.threads)
    from lpnet_rt.engines.onnxruntime import OnnxRuntimeEngine

    return OnnxRuntimeEngine(model, settings.threads)


def _fastest(able: list[Candidate], model: ModelFile, settings: DetectorSettings) -> Choice:
    path = cache_folder() / "choices" / f"{_key(able, model, settings)}.json"
    outcomes = _recall(path, able)
    remembered = outcomes is not None
    if outcomes is None:
        outcomes = [_try(candidate, model, settings) for candidate in able]
    timed = {o.candidate: o.best_ms for o in outcomes if o.best_ms is not None}
    best = min((c for c in able if str(c) in timed), key=lambda c: timed[str(c)] or 0.0, default=None)
    if best is None:
        reasons = "; ".join(f"{o.candidate}: {o.problem}" for o in outcomes)
        raise EngineError(f"auto: no engine passes the self-test of {model.path.name}: {reasons}")
    if not remembered:
        _remember(path, outcomes)
    height, width = _TIMED_HW
    told = ", ".join(f"{o.candidate} {o.problem or f'{o.best_ms:.1f} ms'}" for o in outcomes)
    when = "measured earlier on this machine" if remembered else "measured now"
    return Choice(_open(best, model, settings), f"fastest at {width}x{height} of: {told} ({when})")


def _try(candidate: Candidate, model: ModelFile, settings: DetectorSettings) -> _Outcome:
    """Run the self-test, then take the quickest of a few runs: what else the machine does only ever adds."""
    try:
        engine = _open(candidate, model, settings)
        problem = self_test(engine, model)
        if problem is not None:
            return _Outcome(str(candidate), None, f"fails the self-test: {problem}")
        batch = prepare(np.zeros(_TIMED_HW, np.uint8), model.card.input)
        engine.score(batch)
        times_ns = []
        for _ in range(_TIMED_RUNS):
            began = time.perf_counter_ns()
            engine.score(batch)
            times_ns.append(time.perf_counter_ns() - began)
    except LpnetError as error:
        return _Outcome(str(candidate), None, str(error))
    return _Outcome(str(candidate), min(times_ns) / 1e6, None)


def self_test(engine: Engine, model: ModelFile) -> str | None:
    """Run the self-test's frame through an engine; None where it agrees with the card, else what differs."""
    image, card = self_test_frame(), model.card
    height, width = image.shape
    scores = restore(engine.score(prepare(image, card.input)), (height, width), card.input)
    found = detect(scores, image, SELF_TEST_THRESHOLD)
    return disagreement(found, card.self_test.centroid_xy, card.self_test.score, engine.precision)


def _key(able: list[Candidate], model: ModelFile, settings: DetectorSettings) -> str:
    """Everything that the outcome of a measurement depends on."""
    versions = [f"{name} {_version(name)}" for name in sorted({c.engine for c in able})]
    machine = f"{platform.machine()} {_processor()} {len(os.sched_getaffinity(0))} {settings.threads}"
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
