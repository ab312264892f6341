"""The training loop of LPNet-RT: reads top to bottom, resumes after a kill where it stopped."""

from __future__ import annotations

import csv
import math
import os
import time
from dataclasses import asdict
from pathlib import Path

import msgspec
import torch
from lpnet_rt.training.crops import CropDataset, limit_threads
from lpnet_rt.training.data import load_training_samples
from lpnet_rt.training.losses import views_loss
from lpnet_rt.training.recipe import NetworkRecipe, OptimiserRecipe, Recipe
from lpnet_rt.training.validate import Validation, ValidationSet, find_false_alarms, scorer, validate
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.optim import AdamW
from torch.utils.data import DataLoader

from lpnet_rt.errors import DataError, ModelError
from lpnet_rt.networks.lpnet_rt import LPNetRT, LPNetRTConfig

__all__ = ["build_network", "load_checkpoint", "train"]

LAST = "last.pt"
BEST = "best.pt"
LOG = "log.csv"


def build_network(recipe: NetworkRecipe) -> LPNetRT:
    """Make the network that a recipe describes."""
    return LPNetRT(LPNetRTConfig(**msgspec.structs.asdict(recipe)))


def train(recipe: Recipe, folder: Path, epochs_now: int | None = None) -> Path:
    """Train, or go on with, the run in ``folder``.

    Args:
        recipe: Must be the recipe the run was started with, if it was.
        folder: Gets ``recipe.json``, ``log.csv``, ``last.pt`` after every epoch and ``best.pt`` by validation.
        epochs_now: Stop after this many epochs of this call; the rest can follow later.

    Returns:
        Path of the best checkpoint.

    Raises:
        DataError: The data are incomplete, or the loss is not a number; ``last.pt`` stays as it was.
        ModelError: ``folder`` holds a run with another recipe.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, recipe)
    run = _Run(recipe, folder)
    stop = recipe.optimiser.epochs if epochs_now is None else min(run.epoch + epochs_now, recipe.optimiser.epochs)
    while run.epoch < stop:
        run.one_epoch()
    return folder / BEST


def load_checkpoint(path: Path) -> LPNetRT:
    """Read a checkpoint's averaged weights into a network in eval mode.

    Raises:
        ModelError: The file is missing or no checkpoint of LPNet-RT.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        network = build_network(msgspec.json.decode(state["recipe"], type=Recipe).network)
        network.load_state_dict(state["average"])
    except FileNotFoundError as error:
        raise ModelError(f"{path}: expected a checkpoint, found no file") from error
    except Exception as error:  # torch raises whatever its parts raise on a damaged file
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise ModelError(f"{path}: expected a checkpoint of LPNet-RT: {reason}") from error
    return network.eval()


def _claim(folder: Path, recipe: Recipe) -> None:
    """Write the recipe beside the run, or make sure that it is still the same."""
    path = folder / "recipe.json"
    ours = msgspec.json.format(msgspec.json.encode(recipe), indent=2)
    if path.exists():
        kept = msgspec.json.decode(path.read_bytes(), type=Recipe)
        if kept != recipe:
            raise ModelError(f"{folder}: holds a run with another recipe (recipe.json); choose another folder")
    else:
        path.write_bytes(ours)


class _Run:
    """State of a run between epochs."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe, self.folder = recipe, folder
        self.epoch, self.best = 0, -math.inf
        torch.manual_seed(recipe.seed)
        self.network = build_network(recipe.network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = build_network(recipe.network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average.load_state_dict(self.network.state_dict())
        self.average.eval()
        self.optimiser = AdamW(_groups(self.network, recipe.optimiser.weight_decay), lr=recipe.optimiser.rate)
        masked, empty, video = load_training_samples(recipe.data)
        self.crops = CropDataset(recipe.data, masked, empty, video, recipe.seed)
        self.validation = ValidationSet.load(recipe)
        self.steps = len(self.crops) // recipe.optimiser.batch
        if self.steps < 1:
            raise DataError(f"expected at least {recipe.optimiser.batch} crops an epoch, found {len(self.crops)}")
        self._resume()

    def one_epoch(self) -> None:
        """Train one epoch, validate if it is due, save."""
        recipe = self.recipe.optimiser
        self.crops.epoch = self.epoch
        began = time.monotonic()
        loss = self._train_steps()
        self.epoch += 1
        score = scorer(self.average, self.recipe.precision)
        if self.epoch % recipe.hard_every == 0:
            self.crops.false_alarms = find_false_alarms(score, self.crops.empty)
        found = None
        if self.epoch % recipe.validate_every == 0 or self.epoch == recipe.epochs:
            found = validate(score, self.validation)
            if found.fitness > self.best:
                self.best = found.fitness
                self._save(BEST)
        self._log(loss, time.monotonic() - began, found)
        self._save(LAST)

    def _train_steps(self) -> float:
        recipe, total = self.recipe, 0.0
        loader = DataLoader(
            self.crops,
            batch_size=recipe.optimiser.batch,
            num_workers=recipe.workers,
            worker_init_fn=limit_threads if recipe.workers else None,
            drop_last=True,
        )
        self.network.train()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, transient=True, disable=not os.isatty(2)) as progress:
            task = progress.add_task(f"epoch {self.epoch + 1}/{recipe.optimiser.epochs}", total=self.steps)
            for number, (image, truth) in enumerate(loader):
                loss = self._step(image, truth, self.epoch * self.steps + number)
                total += loss
                progress.update(task, advance=1, description=f"epoch {self.epoch + 1} loss {loss:.3f}")
        return total / self.steps

    def _step(self, image: Tensor, truth: Tensor, step: int) -> float:
        """One optimiser step; returns the loss."""
        recipe = self.recipe.optimiser
        for group in self.optimiser.param_groups:
            group["lr"] = _rate(step, self.steps * recipe.epochs, recipe)
        image = image.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            fine, coarse = self.network(image, _priority(truth, step))
        loss = views_loss(fine, coarse, truth)
        value = float(loss.detach())
        if not math.isfinite(value):
            where = f"epoch {self.epoch + 1}, step {step - self.epoch * self.steps + 1} of {self.steps}"
            raise DataError(
                f"training: the loss became {value} at {where}; {self.folder / LAST} is the last good state"
            )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip_norm)
        self.optimiser.step()
        _follow(self.average, self.network, min(recipe.average, (1 + step) / (10 + step)))
        return value

    def _save(self, name: str) -> None:
        """Write a checkpoint so that a kill leaves either the old or the new one."""
        state = {
            "recipe": msgspec.json.encode(self.recipe).decode(),
            "epoch": self.epoch,
            "best": self.best,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "false_alarms": self.crops.false_alarms,
        }
        partial = self.folder / f"{name}.partial"
        torch.save(state, partial)
        partial.replace(self.folder / name)

    def _resume(self) -> None:
        path = self.folder / LAST
        if not path.exists():
            return
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch, self.best = state["epoch"], state["best"]
        self.crops.false_alarms = [tuple(place) for place in state["false_alarms"]]

    def _log(self, loss: float, seconds: float, found: Validation | None) -> None:
        path = self.folder / LOG
        names = ["epoch", "loss", "seconds", "false_alarms", "fitness", *Validation.__slots__]
        row: dict[str, object] = {
            "epoch": self.epoch,
            "loss": f"{loss:.5f}",
            "seconds": f"{seconds:.1f}",
            "false_alarms": len(self.crops.false_alarms),
        }
        if found is not None:
            row["fitness"] = f"{found.fitness:.3f}"
            row.update((key, f"{value:.4f}") for key, value in asdict(found).items())
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            if new:
                writer.writeheader()
            writer.writerow(row)
        print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)


def _groups(network: nn.Module, decay: float) -> list[dict[str, object]]:
    """Weight decay on convolution kernels only."""
    kernels = [p for p in network.parameters() if p.ndim == 4]
    others = [p for p in network.parameters() if p.ndim != 4]
    return [{"params": kernels, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def _rate(step: int, steps: int, recipe: OptimiserRecipe) -> float:
    warm = min(1.0, (step + 1) / max(1, recipe.warmup_steps))
    return recipe.rate * warm * 0.5 * (1.0 + math.cos(math.pi * step / steps))


def _priority(truth: Tensor, step: int) -> Tensor:
    """Bring cells with targets into the local view in three batches of four, so that it learns from all of them.

    In the fourth, and at run time, the global view alone chooses.
    """
    target = (truth == 255).float()
    cells = nn.functional.max_pool2d(target, 16).flatten(1)
    return cells * (100.0 if step % 4 else 0.0)


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, keep: float) -> None:
    """Exponential moving average of weights and of batch norm's statistics."""
    for mine, theirs in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mine.dtype.is_floating_point:
            mine.lerp_(theirs, 1.0 - keep)
        else:
            mine.copy_(theirs)
