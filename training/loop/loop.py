"""The training loop, for any network: reads top to bottom, resumes after a kill where it stopped.

On several GPUs or machines: ``torchrun --nproc-per-node N -m lpnet_rt train ...``.
"""

from __future__ import annotations

import copy
import math
import os
import time
from pathlib import Path

import msgspec
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from lpnet_rt.errors import DataError, ModelError, reason
from lpnet_rt.training.crops.lpnet_rt import limit_threads
from lpnet_rt.training.loop.checkpoints import (
    BEST,
    LAST,
    AnyRecipe,
    claim,
    load_checkpoint,
    read_state,
    refuse_other,
    write_state,
)
from lpnet_rt.training.loop.logs import LOG, RunLog
from lpnet_rt.training.loop.ranks import ShardedBatches, TrainingProcess, join_run
from lpnet_rt.training.recipes.lpnet_rt import Recipe
from lpnet_rt.training.tasks.base import Task, ValidationResult
from lpnet_rt.training.tasks.lpnet_rt import LPNetRTTask, build_network
from lpnet_rt.training.tasks.lpnetga import LPNetGATask

__all__ = ["BEST", "LAST", "LOG", "Run", "build_network", "load_checkpoint", "make_task", "train"]


def train(recipe: AnyRecipe, folder: Path, epochs_now: int | None = None, device: str = "auto") -> Path:
    """Start or resume the run in ``folder``.

    Args:
        recipe: Must be the recipe the run was started with, if it was.
        folder: Gets ``recipe.json``, ``log.csv``, ``tensorboard/``, ``last.pt`` after every epoch and ``best.pt`` by
            validation.
        epochs_now: Stop after this many epochs of this call; the rest can follow later.
        device: ``auto`` (CUDA where there is one), ``cpu`` or ``cuda``.

    Returns:
        Path of the best checkpoint; there is none before the first validation.

    Raises:
        DataError: The data are incomplete, or the loss is not a number; ``last.pt`` stays as it was.
        ModelError: ``folder`` holds a run with another recipe, or its state is damaged.
        SettingsError: The device or the precision cannot be had, or the processes do not divide the batch.
        SinkError: ``folder`` cannot be written, or holds other files.
    """
    with join_run(device) as process:
        refuse_other(folder, recipe)  # before minutes pass on the data
        run = Run(recipe, make_task(recipe), folder, process)
        epochs = recipe.optimiser.epochs
        stop = epochs if epochs_now is None else min(run.epoch + epochs_now, epochs)
        try:
            while run.epoch < stop and not run.is_over:
                run.one_epoch()
        finally:
            run.close()
    return folder / BEST


def make_task(recipe: AnyRecipe) -> Task:
    """The task that a recipe is one of; reads its data.

    Raises:
        DataError: The data are incomplete.
    """
    return LPNetRTTask(recipe) if isinstance(recipe, Recipe) else LPNetGATask(recipe)


class Run:
    """State of a run between epochs."""

    def __init__(self, recipe: AnyRecipe, task: Task, folder: Path, process: TrainingProcess) -> None:
        """Start, or resume from ``last.pt``; the folder is made when nothing can fail any more.

        Raises:
            DataError: There are fewer crops than one batch.
            ModelError: ``last.pt`` is damaged, or ``folder`` holds a run with another recipe.
            SettingsError: The device or the number of processes does not fit the recipe.
            SinkError: ``folder`` cannot be written.
        """
        self.recipe, self.task, self.folder, self.process = recipe, task, folder, process
        self.epoch, self.best, self.best_epoch = 0, -math.inf, 0
        self.batches = ShardedBatches(len(task.crops), recipe.optimiser.batch, process)
        if not len(self.batches):
            raise DataError(f"expected at least {recipe.optimiser.batch} crops per epoch, found {len(task.crops)}")
        torch.manual_seed(recipe.seed)
        self.network = self._build()
        self.average = self._build() if task.average is not None else self.network
        self.average.load_state_dict(self.network.state_dict())
        self.optimiser = task.make_optimiser(self.network)
        self.scaler = torch.amp.GradScaler(process.device.type, enabled=recipe.precision == "f16")
        self._resume()
        if process.is_first:
            claim(folder, recipe)
        objective = _Objective(self)
        self.objective = DistributedDataParallel(objective) if process.processes > 1 else objective
        done = self.epoch if self.epoch else -1  # before the first epoch, not even the start is validated
        self.log = RunLog(folder, ("epoch", "loss", "seconds", *task.columns), done) if process.is_first else None

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to train: all epochs are, or validations have not become better for too long."""
        recipe, patience = self.recipe.optimiser, self.task.patience
        waited = (self.epoch - self.best_epoch) // recipe.validate_every
        return self.epoch >= recipe.epochs or (0 < patience <= waited)

    def one_epoch(self) -> None:
        """Train one epoch, validate if it is due, save."""
        recipe, task = self.recipe.optimiser, self.task
        start = self._validate_start() if self.epoch == 0 and task.patience else None
        task.crops.epoch = self.epoch
        began = time.monotonic()
        figures: dict[str, float] = {"loss": self._train_steps()}
        self.epoch += 1
        if self.process.is_first:
            self._refuse_broken()
            self.average.eval()
            figures |= task.finish_epoch(self.average, self.epoch)
            if self.epoch % recipe.validate_every == 0 or self.epoch == recipe.epochs:
                figures |= self._keep_best(task.validate(self.average))
        if self.log is not None:
            self.log.add({"epoch": self.epoch, "seconds": time.monotonic() - began, **figures})
            if start is not None and not self.best_epoch:
                write_state(self.folder / BEST, start)  # only now: a run that ended before would block its folder
            self._save(LAST)
        # Only the first process has looked; the others' next epoch depends on what it found.
        task.restore(self.process.share(task.state()))  # type: ignore[arg-type]
        self.best_epoch = int(self.process.share(self.best_epoch))  # type: ignore[call-overload]

    def close(self) -> None:
        """Close the log."""
        if self.log is not None:
            self.log.close()

    def _build(self) -> nn.Module:
        network = self.task.build().to(self.process.device)
        return network.to(memory_format=torch.channels_last)  # type: ignore[no-any-return, call-overload]

    def _train_steps(self) -> float:
        """One pass over the epoch's crops; the mean loss."""
        workers, total, steps = self.recipe.workers, 0.0, len(self.batches)
        loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
            self.task.crops,  # type: ignore[arg-type]
            batch_sampler=self.batches,
            num_workers=workers,
            worker_init_fn=limit_threads if workers else None,
            pin_memory=self.process.device.type == "cuda",
        )
        self.network.train()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        shown = os.isatty(2) and self.process.is_first
        with Progress(*columns, transient=True, disable=not shown) as progress:
            bar = progress.add_task(f"epoch {self.epoch + 1}/{self.recipe.optimiser.epochs}", total=steps)
            for number, (image, truth) in enumerate(loader):
                loss = self._step(image, truth, self.epoch * steps + number)
                total += loss
                progress.update(bar, advance=1, description=f"epoch {self.epoch + 1} loss {loss:.3f}")
        return total / steps

    def _step(self, image: Tensor, truth: Tensor, step: int) -> float:
        """One optimiser step; returns the loss."""
        steps, device = len(self.batches), self.process.device
        for group in self.optimiser.param_groups:
            group["lr"] = self.task.rate(step, steps * self.recipe.optimiser.epochs)
        image = image.to(device, memory_format=torch.channels_last, non_blocking=True)
        loss = self.objective(image, truth.to(device, non_blocking=True), step)
        value = self.process.mean(loss)
        if not math.isfinite(value):
            where = f"epoch {self.epoch + 1}, step {step - self.epoch * steps + 1} of {steps}"
            raise DataError(f"training: the loss became {value} at {where}; {self._last_good()}")
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        if self.task.clip_norm is not None:
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.task.clip_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.task.average is not None:
            _follow(self.average, self.network, min(self.task.average, (1 + step) / (10 + step)))
        return value

    def _validate_start(self) -> dict[str, object] | None:
        """Judge what the run starts from, which may stay the best; return its state."""
        if self.log is None:
            return None
        began = time.monotonic()
        found = self.task.validate(self.average.eval())
        self.best = found.fitness
        figures = {"fitness": found.fitness, **found.figures}
        self.log.add({"epoch": 0, "seconds": time.monotonic() - began, **figures})
        return copy.deepcopy(self._state())

    def _keep_best(self, found: ValidationResult) -> dict[str, float]:
        """Keep the network if it is the best so far."""
        if found.fitness > self.best:
            self.best, self.best_epoch = found.fitness, self.epoch
            self._save(BEST)
        return {"fitness": found.fitness, **found.figures}

    def _refuse_broken(self) -> None:
        """The last step's gradients can spoil the weights without any loss having shown it."""
        for name, value in self.network.state_dict().items():
            if not torch.isfinite(value).all():
                raise DataError(f"training: {name} is no longer finite after epoch {self.epoch}; {self._last_good()}")

    def _last_good(self) -> str:
        last = self.folder / LAST
        return f"{last} is the last good state" if last.exists() else "nothing was saved yet"

    def _save(self, name: str) -> None:
        write_state(self.folder / name, self._state())

    def _state(self) -> dict[str, object]:
        return {
            "recipe": msgspec.json.encode(self.recipe).decode(),
            "epoch": self.epoch,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "over": self.is_over,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            **self.task.state(),
        }

    def _resume(self) -> None:
        path = self.folder / LAST
        if not path.exists():
            return
        state = read_state(path)
        try:
            self.network.load_state_dict(state["network"])  # type: ignore[arg-type]
            self.average.load_state_dict(state["average"])  # type: ignore[arg-type]
            self.optimiser.load_state_dict(state["optimiser"])  # type: ignore[arg-type]
            if state.get("scaler"):
                self.scaler.load_state_dict(state["scaler"])  # type: ignore[arg-type]
            self.epoch, self.best = int(state["epoch"]), float(state["best"])  # type: ignore[call-overload, arg-type]
            self.best_epoch = int(state.get("best_epoch", self.epoch))  # type: ignore[call-overload]
            self.task.restore(state)
        except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                f"{path}: expected the state of a run: {reason(error)}; start in another folder"
            ) from error


class _Objective(nn.Module):
    """The loss as a module, so that every way of running modules on several devices knows it."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.network = run.network
        self._task, self._process, self._precision = run.task, run.process, run.recipe.precision

    def forward(self, image: Tensor, truth: Tensor, step: int) -> Tensor:
        """(B, C, S, S) and (B, 1, S, S) to a scalar."""
        with self._process.autocast(self._precision):
            view = self._task.view(self.network, image, truth, step)
        return self._task.loss(view, truth, step)


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, keep: float) -> None:
    """Exponential moving average of weights and of batch norm's statistics."""
    for mine, theirs in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mine.dtype.is_floating_point:
            mine.lerp_(theirs, 1.0 - keep)
        else:
            mine.copy_(theirs)
