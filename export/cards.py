"""Model cards of exported files: beside every file, and inside those whose format has room for it."""

from __future__ import annotations

import hashlib
import importlib.metadata
from dataclasses import asdict, dataclass, field

import msgspec
from torch import nn

from lpnet_rt.detections import Detections, candidate_score, detect_candidates
from lpnet_rt.engines.scorer import HostScorer
from lpnet_rt.engines.torch_module import TorchModuleEngine
from lpnet_rt.models import ModelCard, SelfTest
from lpnet_rt.models.built import Built
from lpnet_rt.networks.lpnet_rt.card import card_of
from lpnet_rt.networks.lpnet_rt.inference import ScoredLPNetRT
from lpnet_rt.networks.lpnet_rt.network import LPNetRT
from lpnet_rt.selftest import SELF_TEST_THRESHOLD, self_test_frame

__all__ = [
    "CARD_KEY",
    "CardFacts",
    "card_text",
    "make_card",
    "package_versions",
    "signed",
    "weights_sha256",
]

CARD_KEY = "lpnet_rt_card"


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a model card says that the network itself does not know."""

    name: str
    threshold: float
    trained_on: list[str]
    measured: dict[str, float]
    licences: list[str]
    notes: str
    licence: str = ""
    limits: list[str] = field(default_factory=list)
    base: str = ""


def make_card(network: LPNetRT, facts: CardFacts, built: Built) -> ModelCard:
    """The card of a file that is still to be written, so without that file's hash."""
    card = card_of(network, facts.name, facts.threshold)
    found = _reference_detections(network, card)
    return msgspec.structs.replace(
        card,
        weights_sha256=weights_sha256(network),
        self_test=SelfTest(
            centroid_xy=[(round(float(x), 4), round(float(y), 4)) for x, y in found.centroid_xy],
            score=[round(float(value), 5) for value in found.score],
        ),
        **{name: value for name, value in asdict(facts).items() if name not in ("name", "threshold")},
        built=built,
    )


def signed(card: ModelCard, content: bytes) -> ModelCard:
    """The card with the hash of its file."""
    return msgspec.structs.replace(card, file_sha256=hashlib.sha256(content).hexdigest())


def card_text(card: ModelCard) -> str:
    """The card as it stands inside a file; a file cannot hold its own hash, so that is empty."""
    return msgspec.json.encode(msgspec.structs.replace(card, file_sha256="")).decode()


def package_versions(*packages: str) -> dict[str, str]:
    """Installed versions by name; packages that are not there are left out."""
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _reference_detections(network: LPNetRT, card: ModelCard) -> Detections:
    """What PyTorch in fp32 finds in the self-test's frame."""
    image = self_test_frame()
    scorer = HostScorer(TorchModuleEngine(ScoredLPNetRT(network)), card)
    (candidates,) = scorer.find([image], candidate_score(SELF_TEST_THRESHOLD))
    return detect_candidates(candidates, image, SELF_TEST_THRESHOLD)


def weights_sha256(network: nn.Module) -> str:
    """Hash of a module's values, in the order of its state dict."""
    digest = hashlib.sha256()
    for key, value in network.state_dict().items():
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
