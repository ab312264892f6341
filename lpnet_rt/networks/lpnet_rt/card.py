"""The parts of a model card that follow from an LPNet-RT network."""

from __future__ import annotations

import msgspec

from lpnet_rt.models.card import InputRule, LPNetRTShape, ModelCard, SelfTest
from lpnet_rt.networks.lpnet_rt.network import CELL_PX, LPNetRT

__all__ = ["card_of", "input_rule"]


def input_rule(network: LPNetRT) -> InputRule:
    """Return the input rule of a network."""
    return InputRule(multiple=CELL_PX, min_side_px=network.config.min_side_px)


def card_of(network: LPNetRT, name: str = "LPNet-RT", threshold: float = 0.5) -> ModelCard:
    """Return the card of a network in memory: no file, no hashes, and an empty self-test."""
    # As it will be read back: JSON has lists, not tuples.
    config = msgspec.json.decode(msgspec.json.encode(network.config.as_dict()))
    return ModelCard(
        name=name,
        network="LPNetRT",
        config=config,
        parameters=sum(value.numel() for value in network.parameters()),
        input=input_rule(network),
        threshold=threshold,
        weights_sha256="",
        file_sha256="",
        self_test=SelfTest(centroid_xy=[], score=[]),
        reach_px=msgspec.convert(config, LPNetRTShape).reach_px,
        grid_px=CELL_PX,
    )
