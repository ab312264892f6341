"""What the training loop must know of a network; everything else is the same for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn
from torch.optim import Optimizer

__all__ = ["Crops", "Task", "ValidationResult"]


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """What a validation found.

    Attributes:
        fitness: The one number by which the best model is chosen; higher is better.
        figures: The metrics, by column of the log.
    """

    fitness: float
    figures: dict[str, float]


class Crops(Protocol):
    """The crops of one epoch: a function of the seed, the epoch and nothing else.

    Attributes:
        epoch: Set before each epoch.
    """

    epoch: int

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """(C, S, S) float32 input and (1, S, S) uint8 truth: 255 target, 0 background, 128 neither."""
        ...


class Task(Protocol):
    """One network's way of being trained."""

    @property
    def crops(self) -> Crops:
        """What it is trained on."""
        ...

    @property
    def average(self) -> float | None:
        """Share of its old self that the averaged network keeps in each step, or None to average nothing."""
        ...

    @property
    def clip_norm(self) -> float | None:
        """Norm to which gradients are clipped, or None."""
        ...

    @property
    def patience(self) -> int:
        """Validations without a better one after which the run ends; its start is validated, too. 0: never."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the figures it may log, in order."""
        ...

    def build(self) -> nn.Module:
        """Make the network, its weights drawn from torch's generator."""
        ...

    def make_optimiser(self, network: nn.Module) -> Optimizer:
        """Make the optimiser of a network that is where it will be trained."""
        ...

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of a step of the whole run's steps."""
        ...

    def view(self, network: nn.Module, image: Tensor, truth: Tensor, step: int) -> tuple[Tensor, ...]:
        """Run the network, in the run's precision; what comes out is for :meth:`loss` alone."""
        ...

    def loss(self, view: tuple[Tensor, ...], truth: Tensor, step: int) -> Tensor:
        """A scalar, in full precision."""
        ...

    def finish_epoch(self, network: nn.Module, epoch: int) -> dict[str, float]:
        """Do what is due after an epoch (counted from 1) and return figures for the log."""
        ...

    def validate(self, network: nn.Module) -> ValidationResult:
        """Judge a network in evaluation mode on what is never trained on."""
        ...

    def state(self) -> dict[str, object]:
        """What a checkpoint must hold beside the network and the optimiser."""
        ...

    def restore(self, state: dict[str, object]) -> None:
        """Take :meth:`state` back."""
        ...
