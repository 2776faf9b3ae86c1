"""Networks of panns_inference, the peers of `panns`, imported without the download and the files in the home folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch


def original_cnn14() -> Any:
    """`Cnn14` at 32 kHz as its AudioTagging builds it, in eval mode."""
    return _network("Cnn14")


def original_framewise() -> Any:
    """`Cnn14_DecisionLevelMax` as its SoundEventDetection builds it, in eval mode: (B, T) to "framewise_output"."""
    return _network("Cnn14_DecisionLevelMax", interpolate_mode="nearest")


def _network(name: str, **more: Any) -> Any:
    with tempfile.TemporaryDirectory() as home:
        labels = Path(home) / "panns_data" / "class_labels_indices.csv"  # where it is missing, the import runs wget
        labels.parent.mkdir()
        labels.write_text("index,mid,display_name\n")
        with patch.dict(os.environ, HOME=home, USERPROFILE=home, MPLCONFIGDIR=home):
            from panns_inference import models
    return getattr(models, name)(
        sample_rate=32_000, window_size=1024, hop_size=320, mel_bins=64, fmin=50, fmax=14_000, classes_num=527, **more
    ).eval()
