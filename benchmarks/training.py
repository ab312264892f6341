"""A training step of LPNet-RT in several forms, side by side: crops per second, and where the time goes.

    python -m lpnet_rt.benchmarks.training [--threads 1,2] [--patches 16,4] [--compiled] [--profile]

All forms take turns in every round, so that whatever else the machine does falls on all of them alike; the ratios are
those of one run. Crops are noise with a target: what they show does not change how long a step takes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lpnet_rt.console import exit_code_of
from lpnet_rt.errors import SettingsError
from lpnet_rt.training.commands.train import load_recipe
from lpnet_rt.training.recipes.lpnet_rt import NetworkRecipe, Recipe
from lpnet_rt.training.tasks.losses import Background, views_loss
from lpnet_rt.training.tasks.lpnet_rt import build_network, cells_with_targets

__all__ = ["StepForm", "main", "make_step"]


@dataclass(frozen=True, slots=True)
class StepForm:
    """One way to take a step.

    Attributes:
        threads: Processor threads.
        patches: Cells of a crop that the patch net looks at.
        compiled: Whether network and loss are compiled.
    """

    threads: int
    patches: int
    compiled: bool = False


def make_step(form: StepForm, network: NetworkRecipe, batch: int, side_px: int) -> Callable[[], None]:
    """A whole step in bf16 (forward, backward, AdamW) on the same crops each time.

    Args:
        form: How it is taken.
        network: Shape of the network.
        batch: Crops.
        side_px: Side of a crop.
    """
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(batch, 2, side_px, side_px, generator=generator).to(memory_format=torch.channels_last)
    truth = torch.zeros(batch, 1, side_px, side_px, dtype=torch.uint8)
    truth[:, :, side_px // 2 : side_px // 2 + 3, side_px // 3 : side_px // 3 + 4] = 255
    model = build_network(network).train()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def objective(image: Tensor, truth: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            fine, coarse = model(image, cells_with_targets(truth), form.patches)
        return views_loss(fine, coarse, truth, Background(2.0))

    taken = torch.compile(objective, dynamic=False) if form.compiled else objective

    def step() -> None:
        torch.set_num_threads(form.threads)
        loss = taken(image, truth)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return step


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m lpnet_rt.benchmarks.training", description=__doc__)
    parser.add_argument("--recipe", default="lpnet-rt", help="recipe whose network is trained (default: %(default)s)")
    parser.add_argument("--threads", default="1,2", metavar="N,N", help="processor threads (default: %(default)s)")
    parser.add_argument("--patches", default="16,4", metavar="K,K", help="cells per crop (default: %(default)s)")
    parser.add_argument("--compiled", action="store_true", help="also compiled forms; a compiler must be there")
    parser.add_argument("--profile", action="store_true", help="print where the first form's time goes")
    parser.add_argument("--rounds", type=int, default=10, metavar="N", help="steps of each form (default: %(default)s)")
    args = parser.parse_args(argv)
    return exit_code_of(lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    recipe = load_recipe(args.recipe, None, [])
    if not isinstance(recipe, Recipe):
        raise SettingsError(f"--recipe {args.recipe}: expected a recipe of LPNet-RT, found one of {recipe.task}")
    batch, side_px = recipe.optimiser.batch, recipe.data.crop_px
    forms = [
        StepForm(threads, patches, compiled)
        for threads in _counts(args.threads, "--threads")
        for patches in _counts(args.patches, "--patches")
        for compiled in ((False, True) if args.compiled else (False,))
    ]
    steps = {form: make_step(form, recipe.network, batch, side_px) for form in forms}
    for step in steps.values():
        step()  # warm-up; a compiled form takes about a minute
        step()
    times_s: dict[StepForm, list[float]] = {form: [] for form in forms}
    for _ in range(args.rounds):
        for form, step in steps.items():
            began = time.perf_counter()
            step()
            times_s[form].append(time.perf_counter() - began)
    first = statistics.median(times_s[forms[0]])
    print(f"{args.recipe}: {batch} crops of {side_px}x{side_px}, bf16; medians of {args.rounds} steps")
    for form, times in times_s.items():
        median = statistics.median(times)
        print(
            f"{form.threads} threads, {form.patches} cells{', compiled' if form.compiled else ''}: "
            f"{median:.3f} s a step ({min(times):.3f} to {max(times):.3f}), {batch / median:.1f} crops per second, "
            f"{first / median:.2f} times the first"
        )
    if args.profile:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            steps[forms[0]]()
        print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=15, max_name_column_width=40))
    return 0


def _counts(text: str, flag: str) -> list[int]:
    if not all(part.isdigit() and int(part) > 0 for part in text.split(",")):
        raise SettingsError(f"{flag} {text}: expected whole numbers over 0, separated by commas")
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
