"""Steps of gradient descent, with the two options for an unsteady start: warm-up of the rate, and adaptive clipping.

Warm-up raises the learning rate evenly from 0 over the first steps (Goyal et al. 2017). Adaptive clipping (AutoClip;
Seetharaman et al. 2020) shortens a gradient to a percentile of the lengths of all gradients so far, so that no length
has to be known beforehand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


class Descent:
    """Drives one optimizer. `warmup` in steps; `clip` a percentile, 0 < clip <= 100; `longest` a fixed length besides.

    Raises: ValueError for a negative warm-up or a percentile outside its range.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        *,
        warmup: int = 0,
        clip: float | None = None,
        longest: float | None = None,
    ) -> None:
        if warmup < 0:
            raise ValueError(f"a warm-up of {warmup} steps is not possible")
        if clip is not None and not 0 < clip <= 100:
            raise ValueError(f"clip is a percentile, above 0 and at most 100, not {clip:g}")
        self._optimizer, self._warmup, self._clip, self._longest = optimizer, warmup, clip, longest
        self._rates = [group["lr"] for group in optimizer.param_groups]
        self._lengths: list[float] = []
        self._steps = 0

    def step(self, loss: torch.Tensor) -> None:
        """Gradients anew, back through `loss`, shortened as asked, and one step."""
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._shorten()
        self._steps += 1
        if self._steps <= self._warmup:
            for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
                group["lr"] = rate * self._steps / self._warmup
        self._optimizer.step()

    def _shorten(self) -> None:
        import torch

        bounds = [] if self._longest is None else [self._longest]
        weights: list[Any] = [weight for group in self._optimizer.param_groups for weight in group["params"]]
        if self._clip is not None:
            gradients = [weight.grad for weight in weights if weight.grad is not None]
            self._lengths.append(float(torch.nn.utils.get_total_norm(gradients)))
            bounds.append(float(np.percentile(self._lengths, self._clip)))
        if bounds:
            torch.nn.utils.clip_grad_norm_(weights, min(bounds))
