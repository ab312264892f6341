"""LPNet-RT to ONNX: one file for every size of frame, scores out, with a model card beside it."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from lpnet_rt.detections import Detections, detect
from lpnet_rt.errors import ModelError
from lpnet_rt.frames import model_input
from lpnet_rt.models import InputRule, ModelCard, SelfTest, write_card
from lpnet_rt.networks.lpnet_rt import CELL_PX, LPNetRT
from lpnet_rt.selftest import SELF_TEST_THRESHOLD, self_test_frame

__all__ = ["CardFacts", "ScoredLPNetRT", "export_onnx", "weights_sha256"]

_OPSET = 18
_MOST_CELLS = 512  # along a side: frames of up to 8192 pixels


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a model card says that the network itself does not know."""

    name: str
    threshold: float
    trained_on: list[str]
    measured: dict[str, float]
    licences: list[str]
    notes: str


class ScoredLPNetRT(nn.Module):
    """LPNet-RT with its scores as the only output."""

    def __init__(self, network: LPNetRT) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """(B, 2, H, W), see ``lpnet_rt.frames.model_input``, to (B, 1, H, W) scores in 0..1."""
        logits, _ = self.network(image)
        return torch.sigmoid(logits)


def export_onnx(network: LPNetRT, path: Path, facts: CardFacts) -> ModelCard:
    """Write ``path`` and the model card beside it; files already there are replaced only when all has gone well.

    Raises:
        ModelError: The folder cannot be written, or the exported file is not valid ONNX.
    """
    network = network.eval().float()
    card_path = path.with_suffix(".json")
    partial, partial_card = path.with_suffix(".partial.onnx"), path.with_suffix(".partial.json")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
        _write(ScoredLPNetRT(network).eval(), partial)
        onnx.checker.check_model(str(partial))
        card = _make_card(network, partial.read_bytes(), facts)
        write_card(partial_card, card)
        partial.replace(path)
        partial_card.replace(card_path)
    except OSError as error:
        raise ModelError(f"{path}: cannot write the model: {error.strerror}; name a folder you can write") from error
    except onnx.checker.ValidationError as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{path}: the exported graph is not valid ONNX: {reason}") from error
    finally:
        _remove(partial, partial_card)
    return card


def weights_sha256(network: nn.Module) -> str:
    """Hash of a module's values, in the order of its state dict."""
    digest = hashlib.sha256()
    for key, value in network.state_dict().items():
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _remove(*partial: Path) -> None:
    for path in partial:
        # A folder that cannot even be looked into holds nothing of ours.
        with contextlib.suppress(OSError):
            path.unlink()


def _write(module: ScoredLPNetRT, path: Path) -> None:
    """Export with height and width free; batch norm is folded into the convolutions."""
    least = module.network.config.least_px // CELL_PX
    sample = torch.zeros(1, 2, (least + 4) * CELL_PX, (least + 6) * CELL_PX)
    rows = torch.export.Dim("rows", min=least, max=_MOST_CELLS)
    columns = torch.export.Dim("columns", min=least, max=_MOST_CELLS)
    torch.onnx.export(
        module,
        (sample,),
        str(path),
        input_names=["image"],
        output_names=["score"],
        dynamic_shapes={"image": {2: CELL_PX * rows, 3: CELL_PX * columns}},
        opset_version=_OPSET,
        dynamo=True,
        external_data=False,
        optimize=True,
        verbose=False,
    )


def _make_card(network: LPNetRT, content: bytes, facts: CardFacts) -> ModelCard:
    found = _reference_detections(network)
    return ModelCard(
        name=facts.name,
        network="LPNetRT",
        config=network.config.as_dict(),
        parameters=sum(value.numel() for value in network.parameters()),
        input=InputRule(multiple=CELL_PX, least=network.config.least_px),
        threshold=facts.threshold,
        weights_sha256=weights_sha256(network),
        file_sha256=hashlib.sha256(content).hexdigest(),
        self_test=SelfTest(
            centroid_xy=[(round(float(x), 4), round(float(y), 4)) for x, y in found.centroid_xy],
            score=[round(float(value), 5) for value in found.score],
        ),
        **{field: getattr(facts, field) for field in ("trained_on", "measured", "licences", "notes")},
    )


def _reference_detections(network: LPNetRT) -> Detections:
    """What PyTorch in fp32 finds in the self-test's frame."""
    image = self_test_frame()
    height, width = image.shape
    with torch.inference_mode():
        logits, _ = network(torch.from_numpy(model_input(image, CELL_PX, network.config.least_px)))
    scores = torch.sigmoid(logits)[0, 0, :height, :width].contiguous().numpy()
    return detect(scores, image, SELF_TEST_THRESHOLD)
