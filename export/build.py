"""From a network to a model file that has passed the parity gate."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lpnet_rt.agreement import Agreement
from lpnet_rt.engines.base import Engine
from lpnet_rt.engines.torch_module import TorchModuleEngine
from lpnet_rt.errors import ModelError, SettingsError
from lpnet_rt.export.cards import CardFacts, make_card, package_versions, signed
from lpnet_rt.export.gate_frames import GateFrame, batches, fit
from lpnet_rt.export.loading import load_exported
from lpnet_rt.export.onnx import write_onnx
from lpnet_rt.export.parity import Gate, run_gate
from lpnet_rt.export.precision import plan_precision
from lpnet_rt.export.readiness import refuse_unrunnable
from lpnet_rt.export.shapes import Shapes
from lpnet_rt.models import ModelCard, ModelFile, write_card
from lpnet_rt.models.built import Built, Format, Precision
from lpnet_rt.networks.lpnet_rt.card import input_rule
from lpnet_rt.networks.lpnet_rt.inference import ScoredLPNetRT, apply_plan
from lpnet_rt.networks.lpnet_rt.network import LPNetRT
from lpnet_rt.preprocessing.rules import ModelInput, prepare
from lpnet_rt.staging import staged

__all__ = ["SUFFIX", "ExportRequest", "Exported", "export_model", "written_suffixes"]

SUFFIX: dict[Format, str] = {
    "onnx": ".onnx",
    "openvino": ".xml",
    "tensorrt": ".engine",
    "torch-export": ".pt2",
}
_BUILT_WITH = {
    "onnx": ("torch", "onnx", "onnxscript"),
    "openvino": ("torch", "openvino", "nncf"),
    "torch-export": ("torch",),
}


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What is wanted.

    Attributes:
        format: Of the file.
        precision: ``int8`` for OpenVINO only.
        shapes: Sizes of input that the file must take.
        frames: Real frames for the gate, for the precision plan and for int8's calibration.
        route: For TensorRT: ``auto``, ``torch-tensorrt`` or ``onnx``.
        overwrite: Whether files that exist are replaced.
    """

    format: Format
    precision: Precision
    shapes: Shapes
    frames: Sequence[GateFrame]
    route: str = "auto"
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that has passed.

    Attributes:
        card: As written beside it.
        agreements: How far each engine is from PyTorch in fp32.
        plan: What runs in which precision, one line; empty in fp32.
    """

    card: ModelCard
    agreements: dict[str, Agreement]
    plan: str


def export_model(network: LPNetRT, out: Path, facts: CardFacts, request: ExportRequest) -> Exported:
    """Write a model file and its card, together and only when the file has passed the gate and the self-test.

    Args:
        network: Left as it is but for evaluation mode and fp32.
        out: Model file; its ending must be the format's.
        facts: For the card.
        request: What is wanted.

    Raises:
        SettingsError: The ending or the precision does not go with the format.
        EngineError: What builds or runs the format is missing.
        ModelError: The file fails the gate, or no engine passes its self-test.
        SinkError: A file exists and is not to be replaced, or the folder cannot be written.
    """
    _check(out, request)
    if request.format == "tensorrt":
        from lpnet_rt.export.tensorrt import choose_route

        request = dataclasses.replace(request, route=choose_route(request.route))
    module = ScoredLPNetRT(network.eval().float()).eval()
    card = make_card(network, facts, _built(request))
    suffix = SUFFIX[request.format]
    with staged(out, written_suffixes(request.format), request.overwrite) as partial:
        written = _write(module, partial[suffix], request, card)
        card = signed(card, partial[suffix].read_bytes())
        write_card(partial[".json"], card)
        gate = Gate(request.frames, request.shapes, card)
        try:
            engines = written.engines or load_exported(partial[suffix], card)
            agreements = run_gate(TorchModuleEngine(module), engines, gate)
            refuse_unrunnable(ModelFile(partial[suffix], partial[suffix].read_bytes(), card), written.engines)
        except ModelError as error:
            raise ModelError(f"{out}: {error}; nothing was written") from error
    return Exported(card, agreements, written.plan)


def written_suffixes(format_: Format) -> tuple[str, ...]:
    """Endings of the files of a format, its card's last."""
    suffix = SUFFIX[format_]
    return (suffix, *((".bin",) if suffix == ".xml" else ()), ".json")


@dataclass(frozen=True, slots=True)
class _Written:
    """What runs in which precision, in one line; and what runs the file, where nothing reads that from disk."""

    plan: str
    engines: dict[str, Engine] = dataclasses.field(default_factory=dict)


def _check(out: Path, request: ExportRequest) -> None:
    suffix = SUFFIX[request.format]
    if out.suffix != suffix:
        raise SettingsError(f"--out {out}: expected a name that ends in {suffix} for --format {request.format}")
    if request.precision == "int8" and request.format != "openvino":
        raise SettingsError(f"--int8: expected --format openvino, found {request.format}")


def _built(request: ExportRequest) -> Built:
    versions, device = package_versions(*_BUILT_WITH.get(request.format, ())), ""
    if request.format == "tensorrt":
        from lpnet_rt.engines.tensorrt import gpu_name, tied_versions

        versions, device = tied_versions(), gpu_name()
    return Built(
        format=request.format,
        precision=request.precision,
        min_size=request.shapes.min_bhw,
        opt_size=request.shapes.opt_bhw,
        max_size=request.shapes.max_bhw,
        versions=versions,
        device=device,
    )


def _write(module: ScoredLPNetRT, path: Path, request: ExportRequest, card: ModelCard) -> _Written:
    """Write the file."""
    if request.format == "openvino":
        return _Written(_write_openvino(module, path, request, card))
    plan = ""
    if request.precision == "f16":
        planned = plan_precision(module, (torch.from_numpy(batch) for batch in _inputs(module, request)))
        module, plan = apply_plan(module, planned), planned.summary()
    if request.format == "onnx":
        write_onnx(module, path, request.shapes, card)
    elif request.format == "torch-export":
        from lpnet_rt.export.torch_export import write_torch_export

        return _Written(plan, {"torch-export": write_torch_export(module, path, request.shapes, card)})
    else:
        path.write_bytes(_tensorrt_engine(module, path, request, card))
    return _Written(plan)


def _tensorrt_engine(module: ScoredLPNetRT, path: Path, request: ExportRequest, card: ModelCard) -> bytes:
    from lpnet_rt.engines.tensorrt import build_from_onnx
    from lpnet_rt.export.tensorrt import build_with_torch, profile

    if request.route == "torch-tensorrt":
        return build_with_torch(module, request.shapes)
    write_onnx(module, path, request.shapes, card)
    return build_from_onnx(path.read_bytes(), profile(request.shapes))


def _write_openvino(module: ScoredLPNetRT, path: Path, request: ExportRequest, card: ModelCard) -> str:
    """By way of ONNX, so that both formats hold the same graph."""
    import openvino as ov

    from lpnet_rt.export.openvino import quantise, write_openvino

    write_onnx(module, path, request.shapes, card)
    model = ov.Core().read_model(path.read_bytes())
    plan = "weights in f16" if request.precision == "f16" else ""
    if request.precision == "int8":
        model = quantise(model, _inputs(module, request))
        plan = "convolutions in int8; those that write logits, the selection and the sigmoid in f32"
    write_openvino(model, path, card, request.precision)
    return plan


def _inputs(module: ScoredLPNetRT, request: ExportRequest) -> list[ModelInput]:
    fitted = [fit(frame, request.shapes) for frame in request.frames]
    rule = input_rule(module.network)
    return [np.concatenate([prepare(i, rule) for i in images]) for _, images in batches(fitted, request.shapes, rule)]
