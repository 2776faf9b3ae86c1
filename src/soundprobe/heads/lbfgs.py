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
Precondition = Callable[[torch.Tensor], torch.Tensor]
"""Gradients (p, n) -> each times one positive definite matrix that is near every problem's inverse Hessian."""
History = list[tuple[torch.Tensor, torch.Tensor]]
"""The last steps and gradient changes, each (P, n), oldest first; zeros where a problem had left the stack."""

SUFFICIENT_DECREASE = 1e-4
BACKTRACKS = 12
ROUNDING = 1e-7
"""Relative noise of a value computed in float32: a step that raises it by no more is not a failure."""
IDLE_STEPS = 5
"""A problem whose value has not fallen by more than the noise in so many steps is as low as float32 gets it."""


@dataclass(frozen=True, eq=False)
class Solution:
    """x (P, n) float32; iterations (P,) int64; converged (P,) bool: False where steps ran out; history: of the end."""

    x: torch.Tensor
    iterations: torch.Tensor
    converged: torch.Tensor
    history: History


def minimise(
    evaluate: Evaluate,
    x: torch.Tensor,
    *,
    tol: float,
    max_iter: int,
    precondition: Precondition | None = None,
    history: History | None = None,
    memory: int = 10,
) -> Solution:
    """Minimises P convex problems from the starts x (P, n) until each one's max |gradient| <= tol * min(1, value).

    The bound scales with small values, or problems that fit their data almost perfectly would stop at a poor relative
    accuracy. A problem that has reached float32's limit, so that no step lowers it, counts as converged.

    Args:
        precondition: the inverse Hessians before any step has been made; a multiple of the identity where None.
        history: what an earlier solution of problems with nearly these Hessians ended with.
    """
    result = x.clone()
    iterations = torch.zeros(len(x), dtype=torch.int64)
    converged = torch.zeros(len(x), dtype=torch.bool)
    active = torch.arange(len(x), device=x.device)
    value, gradient = evaluate(x, active)
    kept: History = list(history or [])
    idle = torch.zeros_like(active)
    for iteration in range(max_iter + 1):
        done = (idle >= IDLE_STEPS) | (gradient.abs().amax(dim=1) <= tol * value.clamp(max=1.0))
        if bool(done.any()) or iteration == max_iter:
            leaving = torch.ones_like(done) if iteration == max_iter else done
            result[active[leaving]] = x[leaving]
            iterations[active[leaving].cpu()] = iteration
            converged[active[leaving].cpu()] = done[leaving].cpu()
            active, x, value, gradient, idle = (t[~leaving] for t in (active, x, value, gradient, idle))
        if len(active) == 0:
            break
        of_active = kept if len(active) == len(result) else [(s[active], c[active]) for s, c in kept]
        direction = -_newton(gradient, of_active, precondition)
        new_x, new_value, new_gradient, failed = _line_search(evaluate, active, x, value, gradient, direction)
        pair = torch.zeros_like(result), torch.zeros_like(result)
        pair[0][active], pair[1][active] = new_x - x, new_gradient - gradient
        kept = [*kept, pair][-memory:]
        idle = torch.where(value - new_value > ROUNDING * value, 0, idle + 1).masked_fill(failed, IDLE_STEPS)
        x, value, gradient = new_x, new_value, new_gradient
    return Solution(result, iterations, converged, kept)


def _newton(gradient: torch.Tensor, history: History, precondition: Precondition | None) -> torch.Tensor:
    """(p, n): the inverse Hessians' estimates times the gradients, by the two-loop recursion."""
    if precondition is None and not history:
        return gradient / gradient.norm(dim=1, keepdim=True).clamp(min=1.0)
    product, factors = gradient.clone(), []
    scale = torch.zeros_like(gradient[:, 0])
    for step, change in reversed(history):
        curvature, size = _dot(step, change), _dot(change, change)
        usable = curvature > 1e-10 * size  # rounding can spoil the curvature of a tiny step
        scale = torch.where((scale == 0) & usable, curvature / size, scale)  # the newest usable pair's
        inverse = torch.where(usable, 1 / curvature, 0.0)
        factors.append((inverse, inverse * _dot(step, product)))
        product.addcmul_(factors[-1][1][:, None], change, value=-1)
    if precondition is not None and history:
        step, change = history[-1]
        product, of_change = precondition(torch.cat([product, change])).chunk(2)  # one pass over the matrix for both
        curvature, size = _dot(step, change), _dot(change, of_change)
        scale = torch.where(curvature > 1e-10 * size, curvature / size, 0.0)
    elif precondition is not None:
        product = precondition(product)
    product *= torch.where(scale == 0, 1.0, scale)[:, None]
    for (step, change), (inverse, factor) in zip(history, reversed(factors), strict=True):
        product.addcmul_((factor - inverse * _dot(change, product))[:, None], step)
    return product


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
    return (a * b).sum(dim=1)
