"""A pretrained backbone as a step of scikit-learn: clips to embeddings in pipelines, grid searches, cross-validation.

    from sklearn.model_selection import GroupKFold, cross_val_score
    from sklearn.pipeline import make_pipeline

    from soundprobe.heads import LinearHead
    from soundprobe.sklearn import ClipEmbedder

    model = make_pipeline(ClipEmbedder("mn04"), LinearHead())
    cross_val_score(model, paths, labels, groups=recordings, cv=GroupKFold(5))

Letters: N clips, T samples, D the embedding's dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if __name__ == "sklearn":  # in the place of scikit-learn
    raise ImportError(f"soundprobe's own folder stands before scikit-learn. Take {Path(__file__).parent} off sys.path.")

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_array

from soundprobe.audio.decode import check_channels
from soundprobe.audio.from_python import sources_of
from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.spec import LAST, BackboneSpec
from soundprobe.base.errors import DataError
from soundprobe.base.machine import check_device_name, choose_device
from soundprobe.base.records import Source
from soundprobe.base.registry import code_of
from soundprobe.embeddings.store import BATCH_CLIPS

if TYPE_CHECKING:
    from soundprobe.backbones.load import LoadedBackbone


class ClipEmbedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Clips to the embeddings that `soundprobe extract` gives them.

    Nothing is learnt from the clips: `fit` only checks, and a clip's embedding hangs on no other clip. So clips may be
    embedded once, before folds are made. Where the embedder is in the pipeline, every fit embeds its clips again, but
    for those that the pipeline's `memory=` keeps. It is copied and pickled as its settings; each process loads the
    network when it first embeds, and keeps the one that it used last.

    Args:
        backbone: its name, as of `--backbone`.
        weights: "pretrained" (the default), "random" or a file's path.
        clip_seconds: cut or pad every clip to this length; None takes the backbone's own rule.
        layers: which of its layers make the embedding, "last" or what else it offers.
        channels: what becomes of a clip's: "mean", "first" or "loudest".
        sample_rate_hz: of arrays that don't bring it; files have their own.
        seed: of random weights.
        device: "auto", "cpu", "cuda" or "mps".

    Examples:
        >>> import numpy as np
        >>> from soundprobe.sklearn import ClipEmbedder
        >>> noise = np.random.default_rng(0).normal(scale=0.1, size=(3, 16_000))
        >>> ClipEmbedder("logmel-stats", sample_rate_hz=16_000).fit_transform(noise).shape
        (3, 512)
    """

    def __init__(
        self,
        backbone: str = "mn04",
        weights: str | Path | None = None,
        clip_seconds: float | None = None,
        *,
        layers: str = LAST,
        channels: str = "mean",
        sample_rate_hz: float | None = None,
        seed: int = 0,
        device: str = "auto",
    ) -> None:
        self.backbone = backbone
        self.weights = weights
        self.clip_seconds = clip_seconds
        self.layers = layers
        self.channels = channels
        self.sample_rate_hz = sample_rate_hz
        self.seed = seed
        self.device = device

    def fit(self, X: Any, y: Any = None) -> Self:
        """Checks settings and clips; see `transform`. Loads and decodes nothing."""
        self._checked()
        self._sources(X)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """(N, D) float32, the clips' embeddings in their order.

        Args:
            X: N clips: a list, array (N,) or Series of paths, or of anything else that `soundprobe.predict` takes;
                arrays (T,) or (channels, T) of floats in [-1, 1] of any lengths in a list; or (N, T) in one array.

        Raises:
            ConfigError: a setting is not valid. WeightsError: the weights can't be had. DataError: X holds no clips.
            AudioError: one can't be decoded. ValueError: scikit-learn's, of an array.
        """
        spec, sources = self._checked(), self._sources(X)
        from soundprobe.embeddings.sounds import embed_sounds

        device = choose_device(self.device)
        made_of = _written(self.weights, self.backbone.partition(":")[2]), str([spec.frontend, code_of(spec.target)])
        model = _loaded(self.backbone, self.weights, self.clip_seconds, self.layers, self.seed, made_of)
        model = model.on_channels(self.channels)
        model.network.to(device)
        starts = range(0, len(sources), BATCH_CLIPS)
        return np.concatenate([embed_sounds(model, sources[at : at + BATCH_CLIPS], device) for at in starts])

    @property
    def _n_features_out(self) -> int:
        return self._checked().embedding_dim

    def _checked(self) -> BackboneSpec:
        """The backbone's spec; raises ConfigError where a setting is not valid."""
        spec = BACKBONES[self.backbone].with_layers(self.layers)
        if self.clip_seconds is not None:
            spec.check_clip_seconds(self.clip_seconds)
        check_channels(self.channels)
        check_device_name(self.device)
        return spec

    def _sources(self, X: Any) -> Sequence[Source]:
        if isinstance(X, str | bytes | Path):
            raise DataError(f"{X!r} is one clip, where several are needed. Give a list of clips.")
        if not isinstance(X, list | tuple):
            X = check_array(X, dtype=None, ensure_2d=False, allow_nd=True, estimator=self)
            if X.ndim == 1 and X.dtype.kind not in "OSU":
                raise ValueError("X (T,) is one clip, where several are needed. Reshape your data: X[None].")
        if not len(X):
            raise DataError("There are no clips: X is empty.")
        return sources_of(list(X), self.sample_rate_hz)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


@lru_cache(maxsize=1)
def _loaded(
    backbone: str, weights: str | Path | None, clip_seconds: float | None, layers: str, seed: int, made_of: object
) -> LoadedBackbone:
    from soundprobe.backbones.load import load_backbone

    return load_backbone(backbone, weights=weights, clip_seconds=clip_seconds, layers=layers, seed=seed)


def _written(*places: str | Path | None) -> tuple[tuple[str, int, int], ...]:
    """Each file that they name or, being folders, hold: its path, when it was written, and its size."""
    found = [Path(place).expanduser() for place in places if place]
    files = [file for one in found for file in (one.iterdir() if one.is_dir() else [one]) if file.is_file()]
    return tuple((str(file.resolve()), (told := file.stat()).st_mtime_ns, told.st_size) for file in sorted(files))
