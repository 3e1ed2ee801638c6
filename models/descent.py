"""Steps of gradient descent, with the two options for an unsteady start: warm-up of the rate, and adaptive clipping.

Warm-up raises the learning rate evenly from 0 over the first steps (Goyal et al. 2017). Adaptive clipping (AutoClip;
Seetharaman et al. 2020) shortens a gradient to a percentile of the lengths of all gradients so far, so that no length
has to be known beforehand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

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

    def moments(self) -> npt.NDArray[np.float32]:
        """What Adam remembers, as one vector: of each weight the steps, both averages; empty before the first step."""
        states = [self._optimizer.state[weight] for weight in self._weights() if weight in self._optimizer.state]
        names = ("step", "exp_avg", "exp_avg_sq")
        parts = [state[name].numpy().astype(np.float32).ravel() for state in states for name in names]
        return np.concatenate([np.zeros(0, np.float32), *parts])

    def resume(self, moments: npt.NDArray[np.float32], rate: float) -> None:
        """Go on with what `moments` gave, at `rate` times the given learning rates.

        Raises: ValueError when they are of other weights.
        """
        import torch

        for group, full in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = full * rate
        sizes = [size for weight in self._weights() for size in (1, weight.numel(), weight.numel())]
        if not len(moments):
            return
        if len(moments) != sum(sizes):
            raise ValueError(f"{len(moments)} numbers are not what Adam remembers of these weights")
        parts = iter(torch.split(torch.from_numpy(moments.copy()), sizes))
        for weight in self._weights():
            step, *averages = next(parts), next(parts), next(parts)
            first, second = (average.reshape(weight.shape) for average in averages)
            self._optimizer.state[weight] = {"step": step.reshape(()), "exp_avg": first, "exp_avg_sq": second}

    def _weights(self) -> list[Any]:
        return [weight for group in self._optimizer.param_groups for weight in group["params"]]

    def _shorten(self) -> None:
        import torch

        bounds = [] if self._longest is None else [self._longest]
        weights = self._weights()
        if self._clip is not None:
            gradients = [weight.grad for weight in weights if weight.grad is not None]
            self._lengths.append(float(torch.nn.utils.get_total_norm(gradients)))
            bounds.append(float(np.percentile(self._lengths, self._clip)))
        if bounds:
            torch.nn.utils.clip_grad_norm_(weights, min(bounds))
