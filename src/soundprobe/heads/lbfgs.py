"""Limited-memory BFGS on many convex problems of one shape at once (Liu and Nocedal 1989).

Every problem has its own step length and history; one that has converged leaves the stack, so that the others'
evaluations get cheaper. Letters: P problems, n variables of each, p problems still in the stack.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

Evaluate = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""`evaluate(x, problems)`: x (p, n) float32 and which problems its rows belong to (p,) -> values (p,) float64 and
gradients (p, n) float32."""

SUFFICIENT_DECREASE = 1e-4
BACKTRACKS = 12
ROUNDING = 1e-7
"""Relative noise of a value computed in float32: a step that raises it by no more is not a failure."""
IDLE_STEPS = 5
"""A problem whose value has not fallen by more than the noise in so many steps is as low as float32 gets it."""


@dataclass(frozen=True, eq=False)
class Solution:
    """x (P, n) float32; iterations (P,) int64; converged (P,) bool: False where steps ran out."""

    x: torch.Tensor
    iterations: torch.Tensor
    converged: torch.Tensor


def minimise(evaluate: Evaluate, x: torch.Tensor, *, tol: float, max_iter: int, memory: int = 10) -> Solution:
    """Minimises P convex problems from the starts x (P, n) until each one's max |gradient| <= tol * min(1, value).

    The bound scales with small values, or problems that fit their data almost perfectly would stop at a poor relative
    accuracy. A problem that has reached float32's limit, so that no step lowers it, counts as converged.
    """
    result = x.clone()
    iterations = torch.zeros(len(x), dtype=torch.int64)
    converged = torch.zeros(len(x), dtype=torch.bool)
    active = torch.arange(len(x), device=x.device)
    value, gradient = evaluate(x, active)
    history = _History(x, memory)
    idle = torch.zeros_like(active)
    for iteration in range(max_iter + 1):
        done = (idle >= IDLE_STEPS) | (gradient.abs().amax(dim=1) <= tol * value.clamp(max=1.0))
        if bool(done.any()) or iteration == max_iter:
            leaving = torch.ones_like(done) if iteration == max_iter else done
            result[active[leaving]] = x[leaving]
            iterations[active[leaving].cpu()] = iteration
            converged[active[leaving].cpu()] = done[leaving].cpu()
            active, x, value, gradient, idle = (t[~leaving] for t in (active, x, value, gradient, idle))
            history.keep(~leaving)
        if len(active) == 0:
            break
        direction = -history.precondition(gradient)
        new_x, new_value, new_gradient, failed = _line_search(evaluate, active, x, value, gradient, direction)
        history.add(new_x - x, new_gradient - gradient)
        idle = torch.where(value - new_value > ROUNDING * value, 0, idle + 1).masked_fill(failed, IDLE_STEPS)
        x, value, gradient = new_x, new_value, new_gradient
    return Solution(result, iterations, converged)


class _History:
    """The last steps and gradient changes of p problems: an estimate of each one's inverse Hessian.

    The two-loop recursion only ever needs inner products and one linear combination, so it runs on the products' table
    (Chen, Wang and Zhou 2014) and reads the stored vectors twice a step, not four times.

    Attributes:
        basis: (p, 2 * memory, n): steps in the first half, gradient changes in the second; `slots` says in which order
            they came, oldest first.
        products: (p, 2 * memory, 2 * memory) float64, the basis' inner products.
    """

    def __init__(self, x: torch.Tensor, memory: int) -> None:
        p, n = x.shape
        self.memory = memory
        self.slots: list[int] = []
        self.basis = x.new_zeros(p, 2 * memory, n)
        self.products = x.new_zeros(p, 2 * memory, 2 * memory, dtype=torch.float64)

    def add(self, step: torch.Tensor, change: torch.Tensor) -> None:
        if len(self.slots) < self.memory:
            self.slots.append(len(self.slots))
        else:
            self.slots.append(self.slots.pop(0))
        for vector, row in ((step, self.slots[-1]), (change, self.slots[-1] + self.memory)):
            self.basis[:, row] = vector
        for row in (self.slots[-1], self.slots[-1] + self.memory):
            with_all = self._products_with(self.basis[:, row])
            self.products[:, row] = with_all
            self.products[:, :, row] = with_all

    def keep(self, rows: torch.Tensor) -> None:
        self.basis, self.products = self.basis[rows], self.products[rows]

    def precondition(self, gradient: torch.Tensor) -> torch.Tensor:
        """(p, n): the inverse Hessian's estimate times the gradient."""
        if not self.slots:
            return gradient / gradient.norm(dim=1, keepdim=True).clamp(min=1.0)
        with_gradient = self._products_with(gradient)
        # The result is scale * gradient + factors @ basis; both are built up as the recursion goes.
        factors = torch.zeros_like(with_gradient)
        alphas = []
        scale = torch.ones_like(with_gradient[:, 0])
        for slot in reversed(self.slots):
            curvature, usable = self._curvature(slot)
            alpha = torch.where(usable, (with_gradient + self._times(factors))[:, slot] / curvature, 0)
            factors[:, slot + self.memory] -= alpha
            alphas.append(alpha)
        for slot in self.slots:  # the newest usable pair sets the scale
            curvature, usable = self._curvature(slot)
            scale = torch.where(usable, curvature / self.products[:, slot + self.memory, slot + self.memory], scale)
        factors *= scale[:, None]
        for slot, alpha in zip(self.slots, reversed(alphas), strict=True):
            curvature, usable = self._curvature(slot)
            product = (scale[:, None] * with_gradient + self._times(factors))[:, slot + self.memory]
            factors[:, slot] += torch.where(usable, alpha - product / curvature, 0)
        combined = torch.bmm(factors.to(gradient.dtype)[:, None], self.basis)[:, 0]
        return combined.addcmul_(scale.to(gradient.dtype)[:, None], gradient)

    def _curvature(self, slot: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Step times change (p,), and where it can be relied on: rounding can spoil that of a tiny step."""
        curvature, size = (self.products[:, slot + self.memory, i] for i in (slot, slot + self.memory))
        return curvature, curvature > 1e-10 * size

    def _products_with(self, vectors: torch.Tensor) -> torch.Tensor:
        """(p, 2 * memory) float64: the basis' inner products with vectors (p, n)."""
        return torch.bmm(self.basis, vectors[:, :, None])[:, :, 0].double()

    def _times(self, factors: torch.Tensor) -> torch.Tensor:
        """(p, 2 * memory): the basis' inner products with factors @ basis."""
        return torch.bmm(self.products, factors[:, :, None])[:, :, 0]


def _line_search(
    evaluate: Evaluate,
    active: torch.Tensor,
    x: torch.Tensor,
    value: torch.Tensor,
    gradient: torch.Tensor,
    direction: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Each problem's next point, value and gradient by backtracking; and which (p,) found no lower value."""
    slope = _dot(gradient, direction)
    uphill = slope >= 0
    if bool(uphill.any()):
        direction = torch.where(uphill[:, None], -gradient, direction)
        slope = _dot(gradient, direction)
    length = torch.ones_like(slope)
    new_x = x + direction
    new_value, new_gradient = evaluate(new_x, active)
    for _ in range(BACKTRACKS):
        bound = value + SUFFICIENT_DECREASE * length * slope + ROUNDING * value.abs()
        again = (~(new_value <= bound)).nonzero()[:, 0]  # `not <=`, so that NaN is tried again
        if len(again) == 0:
            break
        t, s = length[again], slope[again]
        parabola = -s * t * t / (2 * (new_value[again] - value[again] - s * t)).float()
        length[again] = torch.minimum(torch.maximum(parabola.nan_to_num(0.0), 0.1 * t), 0.5 * t)
        new_x[again] = x[again] + length[again, None] * direction[again]
        new_value[again], new_gradient[again] = evaluate(new_x[again], active[again])
    bound = value + SUFFICIENT_DECREASE * length * slope + ROUNDING * value.abs()
    failed = ~(new_value <= bound)
    for new, old in ((new_x, x), (new_value, value), (new_gradient, gradient)):
        new[failed] = old[failed]
    return new_x, new_value, new_gradient, failed


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(p,) the inner products of the rows."""
    return torch.bmm(a[:, None], b[:, :, None])[:, 0, 0]
