"""What a fine-tuning starts from: the network, the threshold, and what is known of its training."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lpnet_rt.errors import ModelError
from lpnet_rt.models import ModelCard, find_model, packaged_models
from lpnet_rt.networks.lpnet_rt.network import LPNetRT
from lpnet_rt.training.loop.loop import build_network, load_checkpoint
from lpnet_rt.training.recipes.lpnet_rt import NetworkRecipe
from lpnet_rt.training.tasks.starting import is_model, take_weights

__all__ = ["Start", "network_of", "read_start"]


@dataclass(frozen=True, slots=True)
class Start:
    """A model or a checkpoint to start from.

    Attributes:
        spec: Name of a packaged model, or absolute path.
        network: Shape of its network.
        sha256: Of the file.
        card: Of a model; None for a checkpoint.
    """

    spec: str
    network: NetworkRecipe
    sha256: str
    card: ModelCard | None

    @property
    def name(self) -> str:
        """For reports and cards: of a model, or of a checkpoint's file and its folder."""
        return "/".join(Path(self.spec).parts[-2:]) if self.card is None else self.card.name

    @property
    def threshold(self) -> float:
        """Score of a detection: of the card, or one half."""
        return 0.5 if self.card is None else self.card.threshold


def read_start(spec: str) -> Start:
    """Read what a fine-tuning starts from.

    Args:
        spec: Name of a packaged model, an ONNX file with its card, or a checkpoint of a run of LPNet-RT.

    Raises:
        ModelError: It is missing, damaged or of another network.
    """
    if is_model(spec):
        model = find_model(spec)
        if model.card.network != "LPNetRT":
            raise ModelError(f"--from {spec}: expected a model of LPNet-RT, found {model.card.network}")
        try:
            network = msgspec.convert(model.card.config, NetworkRecipe)
        except msgspec.ValidationError as error:
            raise ModelError(f"{spec}: its card does not describe an LPNet-RT: {error}") from error
        where = spec if spec in packaged_models() else str(model.path.resolve())
        return Start(where, network, model.card.file_sha256, model.card)
    path = Path(spec)
    config = load_checkpoint(path).config
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Start(str(path.resolve()), msgspec.convert(config.as_dict(), NetworkRecipe), digest, None)


def network_of(start: Start) -> LPNetRT:
    """Return the network with its weights, in evaluation mode.

    Raises:
        ModelError: The file is missing or damaged.
    """
    network = build_network(start.network)
    take_weights(network, start.spec)
    return network.eval()
