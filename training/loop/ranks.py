"""The processes of a run, by rank: each one's device and precision, and its share of every batch."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from lpnet_rt.errors import SettingsError

__all__ = ["PRECISIONS", "ShardedBatches", "TrainingProcess", "join_run"]

PRECISIONS = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


@dataclass(frozen=True, slots=True)
class TrainingProcess:
    """One process of a run.

    Attributes:
        device: Where its tensors live.
        rank: Its number, from 0; only rank 0 validates and writes.
        processes: How many there are.
    """

    device: torch.device
    rank: int = 0
    processes: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process validates and writes."""
        return self.rank == 0

    def autocast(self, precision: str) -> torch.autocast:
        """Run what lies in this context in ``precision`` (a key of ``PRECISIONS``).

        Raises:
            SettingsError: Another precision, or f16 on a processor.
        """
        if precision not in PRECISIONS:
            raise SettingsError(f"precision: expected one of {', '.join(PRECISIONS)}, found {precision!r}")
        if precision == "f16" and self.device.type == "cpu":
            raise SettingsError("precision f16: expected a CUDA device, found a processor; take bf16 or f32")
        half = precision != "f32"
        return torch.autocast(self.device.type, PRECISIONS[precision] if half else torch.bfloat16, enabled=half)

    def mean(self, value: Tensor) -> float:
        """Mean of a scalar over all processes; NaN on all of them where it is NaN on one."""
        value = value.detach().float()
        if self.processes > 1:
            value = value.clone()
            distributed.all_reduce(value)
            value /= self.processes
        return float(value)

    def share(self, value: object) -> object:
        """What the first process has, on every process."""
        if self.processes == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0, device=self.device)
        return box[0]


class ShardedBatches:
    """Indices of the batches of an epoch, in order; each process gets its own part of every batch.

    What is left over at the end is dropped.
    """

    def __init__(self, length: int, batch: int, process: TrainingProcess) -> None:
        """Split ``length`` items into batches of ``batch`` over all processes.

        Raises:
            SettingsError: The processes do not divide the batch.
        """
        if batch % process.processes:
            raise SettingsError(f"batch: expected a multiple of the {process.processes} processes, found {batch}")
        self._batch, self._number, self._process = batch, length // batch, process

    def __len__(self) -> int:
        return self._number

    def __iter__(self) -> Iterator[list[int]]:
        share = self._batch // self._process.processes
        for number in range(self._number):
            first = number * self._batch + self._process.rank * share
            yield list(range(first, first + share))


@contextlib.contextmanager
def join_run(device: str = "auto") -> Iterator[TrainingProcess]:
    """Join the run; under torchrun this waits for the other processes.

    Args:
        device: ``auto`` (CUDA where there is one), ``cpu`` or ``cuda``.

    Raises:
        SettingsError: Another device, or ``cuda`` where there is none.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise SettingsError(f"--device {device}: expected auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise SettingsError("--device cuda: expected a CUDA device, found none; leave it out to train on processors")
    cuda = device != "cpu" and torch.cuda.is_available()
    local = int(os.environ.get("LOCAL_RANK", "0"))
    where = torch.device("cuda", local) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(where)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield TrainingProcess(where)
        return
    distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield TrainingProcess(where, distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
