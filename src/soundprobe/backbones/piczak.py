"""Piczak's network (K. J. Piczak 2015, "Environmental sound classification with convolutional neural networks", MLSP).

After the paper and its author's notebooks (github.com/karolpiczak/paper-2015-esc-convnet), which settle what the paper
leaves open: the deltas, the floor, what counts as silent, and the rounding of the poolings. Trained from scratch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, pad

from soundprobe.backbones.melspectrogram import LogMel
from soundprobe.backbones.protocol import SpectrogramBackbone

SAMPLE_RATE_HZ = 22_050
N_FFT = 1024
HOP = 512
MEL_BANDS = 60
SEGMENT_FRAMES = 41  # 0.93 s from the first frame's centre to the last one's
SEGMENT_STEP = 20
MEAN_DB, STD_DB = -20.0, 20.0  # the original's are the training segments' own; 100 clips of UrbanSound8K give -16, 18
FLOOR = 80.0 / STD_DB  # a segment's floor, below its own peak
SILENT = (-70.0 - MEAN_DB) / STD_DB  # a segment whose mean is below this does not vote
DELTA_WEIGHTS = (4.0, 3.0, 2.0, 1.0, 0.0, -1.0, -2.0, -3.0, -4.0)  # of the frame itself and the 8 before it


class Piczak(SpectrogramBackbone):
    """Two convolutions over segments of about a second, two wide layers, and a vote of the segments.

    Letters: B clips, T samples, F = 60 mel bands, M = max(T, 20480) // 512 + 1 frames, S = (M - 41) // 20 + 1
    segments, n segments of any clips, D = 5000.

    The original trains on segments, each with its clip's label, and averages the class probabilities of a clip's
    segments: `embed_segments` and `votes` are for that. `embed`, for frozen probes, averages embeddings.

    The original drops half of the embedding out before its softmax layer. That dropout belongs to the head here: in
    training mode `embed_each` has the first two of the three dropouts only.

    A clip's spectrogram is computed once and cut, so that a segment's first and last frames see 23 ms of their
    neighbours where the original mirrors the segment. What is left over at the clip's end is dropped, as in the
    original.

    Args:
        clip_seconds: nothing depends on it; a clip shorter than one segment is padded with silence to one.
    """

    delta_weights: Tensor

    def __init__(self, *, clip_seconds: float | None = None) -> None:
        super().__init__()
        self.log_mel = LogMel(
            sample_rate_hz=SAMPLE_RATE_HZ,
            n_fft=N_FFT,
            hop=HOP,
            mel_bands=MEL_BANDS,
            mean_db=MEAN_DB,
            std_db=STD_DB,
            pad_mode="reflect",
        )
        weights = torch.tensor(DELTA_WEIGHTS).flip(0)  # conv1d does not turn its kernel round
        self.register_buffer("delta_weights", weights[None, None], persistent=False)  # (1, 1, 9)
        self.conv1 = nn.Conv2d(2, 80, (57, 6))
        self.pool1 = nn.MaxPool2d((4, 3), stride=(1, 3))
        self.conv2 = nn.Conv2d(80, 80, (1, 3))
        # pylearn2 pools the last, incomplete window too: 10 frames become 4, not 3
        self.pool2 = nn.MaxPool2d((1, 3), stride=(1, 3), ceil_mode=True)
        self.fc1 = nn.Linear(80 * 4, 5000)
        self.fc2 = nn.Linear(5000, 5000)
        self.dropout = nn.Dropout(0.5)
        self._initialise()

    def _initialise(self) -> None:
        """The original's random weights."""
        nn.init.uniform_(self.conv1.weight, -0.001, 0.001)
        nn.init.constant_(self.conv1.get_parameter("bias"), 0.1)
        nn.init.uniform_(self.conv2.weight, -0.1, 0.1)
        nn.init.zeros_(self.conv2.get_parameter("bias"))
        for layer in (self.fc1, self.fc2):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def spectrogram(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Wave (B, T) to log-mel (B, F, M) of the clip at peak 1, as (dB + 20) / 20.

        `lengths` is ignored: padding is digital silence, which `voters` leaves out.
        """
        wave = wave.float()
        peak = wave.abs().amax(dim=1, keepdim=True)
        wave = wave / peak.where(peak > 0, 1.0)
        shortest = (SEGMENT_FRAMES - 1) * HOP
        return self.log_mel(pad(wave, (0, max(0, shortest - wave.shape[1]))))

    def segments(self, spectrogram: Tensor) -> Tensor:
        """Log-mel (B, F, M) to segments (B, S, 2, F, 41): floored 80 dB below each one's peak, and its deltas."""
        cut = spectrogram.unfold(2, SEGMENT_FRAMES, SEGMENT_STEP).movedim(2, 1)  # (B, S, F, 41)
        floored = torch.maximum(cut, cut.amax(dim=(2, 3), keepdim=True) - FLOOR)
        return torch.stack([floored, self._deltas(floored)], dim=2)

    def voters(self, spectrogram: Tensor) -> Tensor:
        """Log-mel (B, F, M) to (B, S) bool: the segments that are not silent. Where all are, all vote."""
        cut = spectrogram.unfold(2, SEGMENT_FRAMES, SEGMENT_STEP)  # (B, F, S, 41)
        peak = cut.amax(dim=(1, 3), keepdim=True)
        heard = torch.maximum(cut, peak - FLOOR).mean(dim=(1, 3)) > SILENT
        return heard | ~heard.any(dim=1, keepdim=True)

    def votes(self, spectrogram: Tensor) -> Tensor:
        """(B, F, M) to (B, S) float32: equal shares for the segments that are not silent."""
        voters = self.voters(spectrogram).float()
        return voters / voters.sum(dim=1, keepdim=True)

    def embed_each(self, segments: Tensor) -> Tensor:
        """Segments (n, 2, F, 41) to embeddings (n, D): what the original's softmax layer sees, before its dropout."""
        x = self.dropout(self.pool1(self.conv1(segments)).relu())  # (n, 80, 1, 12)
        x = self.pool2(self.conv2(x)).relu()  # (n, 80, 1, 4)
        x = self.dropout(self.fc1(x.flatten(1)).relu())
        return self.fc2(x).relu()

    def embed_segments(self, spectrogram: Tensor) -> Tensor:
        """Log-mel (B, F, M) to embeddings (B, S, D)."""
        segments = self.segments(spectrogram)  # (B, S, 2, F, 41)
        return self.embed_each(segments.flatten(0, 1)).unflatten(0, segments.shape[:2])

    def frame_spectrogram(self, spectrogram: Tensor) -> Tensor:
        """As `embed_segments`, for which a frame is a segment."""
        return self.embed_segments(spectrogram)

    def embed_spectrogram(self, spectrogram: Tensor) -> Tensor:
        """Log-mel (B, F, M) to embeddings (B, D): the mean over the segments that vote."""
        vectors = self.embed_segments(spectrogram)  # (B, S, D)
        votes = self.voters(spectrogram).to(vectors.dtype)
        return (vectors * votes.unsqueeze(2)).sum(dim=1) / votes.sum(dim=1, keepdim=True)

    def _deltas(self, frames: Tensor) -> Tensor:
        """The slope along time of (..., 41), as the librosa of that time (0.3) has it: over the frame and the 8 before
        it, not divided by the weights' norm, 5 copies of the first frame before the start and zeros before those.
        """
        rows = frames.reshape(-1, 1, frames.shape[-1])
        rows = pad(pad(rows, (5, 0), mode="replicate"), (3, 0))
        return conv1d(rows, self.delta_weights.to(rows.dtype)).reshape(frames.shape)
