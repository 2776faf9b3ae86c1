"""What a command that embeds needs: data and weights. All that is missing is told at once, before anything heavy."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from soundprobe.backbones.spec import PRETRAINED, BackboneSpec
from soundprobe.backbones.weights.verify import WeightFile, fetch, location, resolved_url
from soundprobe.base.errors import Lacking, WeightsError
from soundprobe.base.files import offline
from soundprobe.base.records import Clips
from soundprobe.data.catalog import check_there


def check_needed(
    data: str | Path | Clips, asked: Iterable[tuple[BackboneSpec, str | Path | None]], *, progress: bool
) -> None:
    """Whether `data` and the weights `asked` of each backbone can be had; published weights are then fetched.

    Raises:
        SoundprobeError: not, with everything that is missing; WeightsError where that is only weights.
    """
    lacking = Lacking()
    forbidden = f"{offline()} forbids to ask it" if offline() else None
    if not isinstance(data, Clips):
        with lacking.noted():
            check_there(data, unreachable=forbidden)
    wanted = []
    for spec, weights in asked:
        with lacking.noted():
            spec.check_weights(weights)
        if spec.weights is not None and weights in (None, PRETRAINED):
            wanted.append((spec.name, spec.weights))
    for name, file in wanted:
        with lacking.noted():
            check_may_fetch(name, file)
    lacking.tell()
    for _, file in wanted:
        try:
            fetch(file, progress=progress)
        except WeightsError as error:
            lacking.errors.append(WeightsError(f"{error} ; or take --weights random (untrained)"))
    if lacking.errors and not isinstance(data, Clips):
        with lacking.noted():
            check_there(data, unreachable="as little as the weights")
    lacking.tell()


def check_may_fetch(name: str, file: WeightFile, instead: str = ", or take --weights random (untrained)") -> None:
    """Raises WeightsError where the weights of the backbone `name` are not in the cache and may not be fetched.

    Args:
        instead: what else may be done about it.
    """
    if offline() and not location(file).exists():
        size = f" ({file.size})" if file.size else ""
        raise WeightsError(
            f"The weights of {name}{size} are not in the cache, and {offline()} forbids to fetch them. Go online, or "
            f"give the file of {resolved_url(file)} with --weights FILE{instead}."
        )
