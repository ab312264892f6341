"""Choice of the engine: the requested one, or the fastest that is installed and passes the self-test.

``auto`` runs the self-test on every candidate, then times it, and stores the result by machine, model and versions, so
that later starts measure nothing. The chosen engine passes the self-test at every start.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.metadata
import logging
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from lpnet_rt.cache import CacheFolder, cache_folder
from lpnet_rt.detections import candidate_score
from lpnet_rt.engines.base import Engine
from lpnet_rt.engines.candidates import Candidate, candidates_for
from lpnet_rt.engines.installed import gpu
from lpnet_rt.engines.scorer import make_scorer
from lpnet_rt.engines.trial import self_test
from lpnet_rt.errors import EngineError, LpnetError, reason
from lpnet_rt.models import ModelFile
from lpnet_rt.processors import processor_count
from lpnet_rt.settings import DetectorSettings

__all__ = ["Choice", "choose_engine"]

_logger = logging.getLogger(__name__)

_TIMED_HW = (256, 320)
_TIMED_RUNS = 7


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine that is ready to run, and why it was chosen."""

    engine: Engine
    why: str


class _Outcome(msgspec.Struct, frozen=True):
    """Measurement of one candidate: its best time in milliseconds, or what went wrong."""

    candidate: str
    best_ms: float | None
    problem: str | None


def choose_engine(model: ModelFile, settings: DetectorSettings) -> Choice:
    """Load the engine that the settings request.

    Raises:
        EngineError: The engine is unknown or missing, or no engine passes the self-test.
        ModelError: The engine cannot read the model.
    """
    min_size = model.card.built.min_size
    if min_size is not None and min_size[0] > 1:
        raise EngineError(
            f"{model.path}: expected a file that takes one frame at a time, found one of {min_size[0]}; "
            "export it with --batch 1 or with --dynamic"
        )
    candidates = candidates_for(model)
    if settings.engine != "auto":
        return _asked_for(_forced(candidates, settings), model, settings)
    able = [c for c in candidates if c.is_for_auto and settings.precision in ("auto", c.precision)]
    if not able:
        names = ", ".join(f"{c}: needs {c.missing}" if c.missing else f"{c}: on request" for c in candidates)
        raise EngineError(f"auto: expected an engine in precision {settings.precision}, found none ({names})")
    if not model.card.self_test.score:
        return _first(able, model, settings)
    return _fastest(able, model, settings)


def _asked_for(candidate: Candidate, model: ModelFile, settings: DetectorSettings) -> Choice:
    engine = _open(candidate, model, settings)
    if candidate.spec.builds:
        return Choice(engine, "asked for; no self-test, for which it would build an engine of its own")
    problem = self_test(engine, model)
    if problem is not None:
        raise EngineError(
            f"--engine {settings.engine}: {candidate} fails the self-test of {model.path.name}: {problem}; "
            "take --engine auto, or export the model again"
        )
    return Choice(engine, f"asked for{_untested(model)}")


def _first(able: list[Candidate], model: ModelFile, settings: DetectorSettings) -> Choice:
    """Take the first working engine: weights files have no self-test, and their first engine is exact and fast.

    Raises:
        EngineError: The scores of every engine are not finite.
    """
    problems = []
    for candidate in able:
        try:
            engine = _open(candidate, model, settings)
            problem = self_test(engine, model)
        except EngineError as error:
            problem = str(error)
        if problem is None:
            return Choice(engine, f"the first of {', '.join(map(str, able))}{_untested(model)}")
        problems.append(f"{candidate}: {problem}")
    raise EngineError(f"auto: no engine runs {model.path.name}: {'; '.join(problems)}")


def _untested(model: ModelFile) -> str:
    """Warn if a card has no self-test, and return what to add to the reason for the choice."""
    if model.card.self_test.score:
        return ""
    _logger.warning("%s: its card has no self-test: scores are known to be finite, not to be right", model.path.name)
    return "; no self-test in its card"


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
    """Load a model into an engine.

    Raises:
        EngineError: A library that the engine needs is installed but cannot be imported.
    """
    try:
        return candidate.spec.open(model, candidate.precision, settings.threads)
    except (ImportError, OSError, RuntimeError) as error:
        raise EngineError(f"{candidate.engine}: cannot be loaded ({reason(error)}); install it again") from error


def _fastest(able: list[Candidate], model: ModelFile, settings: DetectorSettings) -> Choice:
    folder, name = CacheFolder(cache_folder() / "choices"), f"{_key(able, model, settings)}.json"
    outcomes = _recall(folder, name, able)
    if outcomes is not None:
        # An engine may have been removed or changed since; then all are measured again.
        with contextlib.suppress(LpnetError):
            engine = _tested(_best(able, outcomes, model), model, settings)
            return Choice(engine, _why(outcomes, model, "measured earlier on this machine"))
    outcomes = [_try(candidate, model, settings) for candidate in able]
    engine = _tested(_best(able, outcomes, model), model, settings)
    folder.write(name, msgspec.json.encode(outcomes))
    return Choice(engine, _why(outcomes, model, "measured now"))


def _tested(candidate: Candidate, model: ModelFile, settings: DetectorSettings) -> Engine:
    """Load an engine and run the self-test: its compiled model may come from a cached file.

    Raises:
        EngineError: It fails the self-test.
    """
    engine = _open(candidate, model, settings)
    problem = self_test(engine, model)
    if problem is not None:
        raise EngineError(f"auto: {candidate} fails the self-test of {model.path.name}: {problem}")
    return engine


def _best(able: list[Candidate], outcomes: list[_Outcome], model: ModelFile) -> Candidate:
    """Return the fastest candidate that passed the self-test.

    Raises:
        EngineError: None passed.
    """
    timed = {o.candidate: o.best_ms for o in outcomes if o.best_ms is not None}
    best = min((c for c in able if str(c) in timed), key=lambda c: timed[str(c)], default=None)
    if best is None:
        reasons = "; ".join(f"{o.candidate}: {o.problem}" for o in outcomes)
        raise EngineError(f"auto: no engine passes the self-test of {model.path.name}: {reasons}")
    return best


def _why(outcomes: list[_Outcome], model: ModelFile, when: str) -> str:
    height, width = _timed_hw(model)
    times = ", ".join(f"{o.candidate} {o.problem or f'{o.best_ms:.1f} ms'}" for o in outcomes)
    return f"fastest at {width}x{height} of: {times} ({when})"


def _timed_hw(model: ModelFile) -> tuple[int, int]:
    """Return the frame size at which engines are timed: the file's own if it is fixed."""
    built = model.card.built
    return built.opt_size[1:] if built.opt_size is not None and built.min_size == built.max_size else _TIMED_HW


def _try(candidate: Candidate, model: ModelFile, settings: DetectorSettings) -> _Outcome:
    """Run the self-test, then take the minimum of a few timed runs: other load on the machine only adds time."""
    try:
        engine = _open(candidate, model, settings)
        problem = self_test(engine, model)
        if problem is not None:
            return _Outcome(str(candidate), None, f"fails the self-test: {problem}")
        min_score = candidate_score(model.card.threshold)
        scorer, blank = make_scorer(engine, model.card), [np.zeros(_timed_hw(model), np.uint8)]
        scorer.find(blank, min_score)
        times_ns = []
        for _ in range(_TIMED_RUNS):
            began = time.perf_counter_ns()
            scorer.find(blank, min_score)
            times_ns.append(time.perf_counter_ns() - began)
    except LpnetError as error:
        return _Outcome(str(candidate), None, str(error))
    return _Outcome(str(candidate), min(times_ns) / 1e6, None)


def _key(able: list[Candidate], model: ModelFile, settings: DetectorSettings) -> str:
    """Hash of everything that the measurement depends on."""
    versions = [f"{name} {_version(name)}" for name in sorted({c.spec.package for c in able})]
    machine = f"{platform.machine()} {_processor()} {processor_count()} {settings.threads} {gpu()}"
    machine += f" {os.environ.get('CUDA_VISIBLE_DEVICES')}"
    text = "\n".join([model.card.file_sha256, machine, *versions, *map(str, able)])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        # The module can come from a package of another name, such as onnxruntime-gpu.
        return str(importlib.import_module(package).__version__)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    wanted = ("model name", "flags", "Features")
    return " ".join(sorted({line for line in lines if line.startswith(wanted)}))


def _recall(folder: CacheFolder, name: str, able: list[Candidate]) -> list[_Outcome] | None:
    content = folder.read(name, "remembered choice")
    if content is None:
        return None
    try:
        outcomes = msgspec.json.decode(content, type=list[_Outcome])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None  # nothing readable: measure again
    whole = [o.candidate for o in outcomes] == [str(c) for c in able]
    return outcomes if whole and any(o.best_ms is not None for o in outcomes) else None
