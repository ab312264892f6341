"""Which engines are measured."""

from __future__ import annotations

from lpnet_rt.detector import Detector
from lpnet_rt.engines import Candidate, list_candidates
from lpnet_rt.errors import EngineError, SettingsError
from lpnet_rt.settings import DetectorSettings

__all__ = ["chosen_candidates", "load_detectors"]


def chosen_candidates(wanted: str | None) -> list[Candidate]:
    """Engines and precisions that are named and available.

    Args:
        wanted: ``openvino`` (every precision that this machine has) or ``openvino:bf16``, several with commas between
            them; None takes what ``auto`` would try, and PyTorch in f32.

    Raises:
        SettingsError: A name is unknown.
        EngineError: What is named by engine and precision is not available here, or nothing is.
    """
    known = list_candidates()
    able = [one for one in known if one.is_for_auto or (one.missing is None and str(one) == "torch f32")]
    chosen = able if wanted is None else [one for name in wanted.split(",") for one in _named(name.strip(), known)]
    if not chosen:
        lacking = "; ".join(f"{candidate} needs {candidate.missing}" for candidate in known)
        raise EngineError(f"--engines: expected an engine that is available here, found none ({lacking})")
    return list(dict.fromkeys(chosen))


def load_detectors(wanted: str | None, model: str, threads: int | None) -> list[Detector]:
    """Load the model into every chosen engine.

    Raises:
        LpnetError: A name is unknown, or an engine cannot be loaded.
    """
    return [
        Detector.load(DetectorSettings(model=model, engine=one.engine, precision=one.precision, threads=threads))
        for one in chosen_candidates(wanted)
    ]


def _named(name: str, known: list[Candidate]) -> list[Candidate]:
    engine, _, precision = name.partition(":")
    fitting = [c for c in known if c.engine == engine and precision in ("", c.precision)]
    if not fitting:
        names = ", ".join(f"{c.engine}:{c.precision}" for c in known)
        raise SettingsError(f"--engines {name}: expected some of {names}")
    missing = [c for c in fitting if c.missing is not None]
    if precision and missing:
        raise EngineError(f"--engines {name}: not available here; it needs {missing[0].missing}")
    return [c for c in fitting if c.missing is None]
