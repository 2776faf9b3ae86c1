"""From sound files to embeddings: soundprobe's pipeline beside what users of each network run today.

    python benchmarks/extraction.py --data data/UrbanSound8K                  panns, mn04, ast, ast at 4 s
    python benchmarks/extraction.py panns mn04 --clips 16 --rounds 3          generated clips, some rows only
    python benchmarks/extraction.py panns ast --precision fp32,bf16           ours in half precision as well
    python benchmarks/extraction.py panns ast --device cuda --precision fp32,bf16,fp16   the peers run there too
    python benchmarks/extraction.py --growth docs/images/extraction-growth.png    time for 100 to 20,000 clips

The peers, on the same weights (random ones: the cost is the same) and the same files, one clip at a time unless said:

panns: librosa.load at 32 kHz, then the class Cnn14 of panns_inference in eval mode under no_grad, as its AudioTagging
    does. Its package is not imported, because importing it runs wget; see soundprobe/backbones/panns.py.
ast, ast at 4 s: librosa.load at 16 kHz, transformers' ASTFeatureExtractor padding to 1,024 frames, its ASTModel (sdpa).
    The row `ast at 4 s` is soundprobe with clip_seconds=4 against the same 1,024 frames: other embeddings, no parity.
mn04: the original's code is no package. The peer is a rebuilding of it from its published description: librosa.load,
    torch.stft, log-mel and the layers of torchvision as they stand (BatchNorm apart, default layout), under no_grad.
    Like the original (models/preprocess.py of fschmid56/EfficientAT) it makes the mel bands anew at every call.
mn04 in batches: the same in batches of 16, decoding, log-mel and network one after the other.

The peers run in float32 always, beside each of our precisions anew. The share of the GEMM peak is ours, at the peak of
its precision; a convolution counts with all its multiplications, though Winograd's do with fewer.

Rounds are interleaved: each runs every row once on both sides. Our side is the command's own path: it decodes on
threads, checks each clip's digest and writes the store's part. The scan is left out: `pipeline.py` measures it.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import librosa
import numpy as np
import torch

from growth import measure_growth
from machine_note import describe, spread
from soundprobe.backbones.load import LoadedBackbone, load_backbone
from soundprobe.base.machine import choose_device
from soundprobe.base.progress import Progress
from soundprobe.base.records import Clips
from soundprobe.data.catalog import open_data
from soundprobe.data.scan import Scan, scan
from soundprobe.embeddings import embed as pipeline
from soundprobe.embeddings import store
from soundprobe.embeddings.precision import check_device, declared, in_half
from soundprobe.embeddings.store import BATCH_CLIPS
from soundprobe.verbs.bench import gemm_peak_gflops

Peer = Callable[[Sequence[str]], np.ndarray]
"""From the files' paths to embeddings (N, D)."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclasses.dataclass
class Row:
    """One line of the table, with the milliseconds a clip of each round."""

    name: str
    model: LoadedBackbone
    peer: Peer
    same_input: bool = True
    precision: str = "fp32"
    ours_ms: list[float] = dataclasses.field(default_factory=list)
    peer_ms: list[float] = dataclasses.field(default_factory=list)
    difference: float = float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(ROWS), help=", ".join(ROWS))
    parser.add_argument("--precision", default="fp32", help="ours: fp32, bf16, fp16, or several")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps, of both sides")
    parser.add_argument("--data", default="synth", help="a data set's name or folder; synth is generated")
    parser.add_argument("--clips", type=int, default=48, help="clips of one round, 4 s each")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=BATCH_CLIPS)
    parser.add_argument("--growth", type=Path, help="measure mn04 over 100 to 20,000 clips, and draw it here")
    parser.add_argument("--most", type=int, default=20_000, help="the growth curve's last number of clips")
    options = parser.parse_args()
    clips, scanned = four_seconds(open_data(options.data), options.clips)
    if options.growth:
        measure_growth(load_backbone("mn04", weights="random"), clips, scanned, options.most, options.growth)
        return
    device, precisions = choose_device(options.device), options.precision.split(",")
    for precision in precisions:
        check_device(precision, device)
    peaks = {precision: gemm_peak_gflops(device, dtype=DTYPES[precision]) for precision in precisions}
    rows = [row_in(precision, ROWS[name](name, device)) for name in options.names for precision in precisions]
    for round_ in range(options.rounds + 1):
        for row in rows:
            compare(row, clips, scanned, device, options.batch_size, first=round_ == 0)
    card = f", {torch.cuda.get_device_name()}" if device.type == "cuda" else ""
    reached = ", ".join(f"{precision} {peak:,.0f}" for precision, peak in peaks.items())
    print(f"{describe()}; on {device.type}{card}; GEMM peak in GFLOP/s: {reached}")
    print(f"{len(clips)} clips of 4 s of {clips.name}, {options.rounds} rounds, our batches of {options.batch_size}")
    print(
        f"{'row':<22}{'ours, ms a clip':>30}{'peer, ms a clip':>30}{'times as fast':>24}{'max diff / rms':>16}"
        f"{'of GEMM peak':>14}"
    )
    for row in rows:
        ratios = [peer / ours for peer, ours in zip(row.peer_ms, row.ours_ms, strict=True)]
        parity = f"{row.difference:.1e}" if row.same_input else "other input"
        clips_a_second = 1000 / statistics.median(row.ours_ms)
        rate = 2 * row.model.spec.gmacs * clips_a_second  # of the whole input, so not of AST's shorter one
        share = f"{rate / peaks[row.precision]:.0%}" if row.same_input else ""
        speed = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{row.name:<22}{spread(row.ours_ms):>30}{spread(row.peer_ms):>30}{speed:>24}{parity:>16}{share:>14}")
    print(f"peak memory of this process, with the peers' copies: {resident_gb():.2f} GB")


def row_in(precision: str, row: Row) -> Row:
    if precision == "fp32":
        return row
    return dataclasses.replace(
        row, name=f"{row.name} {precision}", precision=precision, model=in_half(declared(row.model, precision))
    )


def resident_gb() -> float:
    """The largest resident memory so far, in 1e9 bytes (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def four_seconds(clips: Clips, count: int) -> tuple[Clips, Scan]:
    """`count` clips of at least 4 s, spread over the data set; all rows then do the same work."""
    scanned = scan(clips)
    whole = np.flatnonzero((scanned.duration_s >= 3.99) & (scanned.errors == ""))
    if len(whole) == 0:
        raise SystemExit("no clip of 4 s in this data set")
    rows = whole[np.linspace(0, len(whole) - 1, min(count, len(whole))).astype(int)]
    return clips.take(rows), Scan(*(None if c is None else c[rows] for c in vars(scanned).values()))


def compare(row: Row, clips: Clips, scanned: Scan, device: torch.device, batch_size: int, *, first: bool) -> None:
    """One round. The first warms up, prepares weights and measures the parity; its times are not kept."""
    began = time.perf_counter()
    ours = embed_files(row.model, clips, scanned, device, batch_size)
    between = time.perf_counter()
    theirs = row.peer([str(source) for source in clips.sources])
    ended = time.perf_counter()
    if first:
        if row.same_input:
            rms = np.sqrt((theirs**2).mean(axis=1))
            row.difference = float((np.abs(ours - theirs).max(axis=1) / rms).max())
        return
    row.ours_ms.append((between - began) * 1000 / len(clips))
    row.peer_ms.append((ended - between) * 1000 / len(clips))


def embed_files(
    model: LoadedBackbone, clips: Clips, scanned: Scan, device: torch.device, batch_size: int
) -> np.ndarray:
    """(N, D) in the order of `clips`, by the path that `soundprobe extract` takes, store included."""
    job = pipeline.EmbeddingJob(model, clips, scanned, device, batch_size, None)
    with tempfile.TemporaryDirectory() as folder:
        left = dict(enumerate(pipeline.plan_parts(clips, scanned, model)))
        parts = [part for _, part in pipeline.embed_parts(job, left, Path(folder), Progress(lambda clips: None))]
        return rows_of(parts, clips)


def rows_of(parts: Sequence[store.SetPart], clips: Clips) -> np.ndarray:
    import pyarrow.parquet

    found = {}
    for part in parts:
        table = pyarrow.parquet.read_table(part.path)
        found.update(zip(table["clip_id"].to_pylist(), table["embedding"].to_pylist(), strict=True))
    return np.array([found[str(clip)] for clip in clips.ids], dtype=np.float32)


def panns(name: str, device: torch.device) -> Row:
    from original_cnn14 import original_cnn14

    model = load_backbone("panns", weights="random")
    network = original_cnn14()
    state = {key.removeprefix("cnn."): value for key, value in model.network.state_dict().items()}
    network.load_state_dict({key: value for key, value in state.items() if key != "mel_basis"}, strict=False)
    network.to(device)

    def peer(files: Sequence[str]) -> np.ndarray:
        found = []
        for file in files:
            wave, _ = librosa.load(file, sr=32000, mono=True)
            with torch.no_grad():
                found.append(network(torch.from_numpy(wave[None, :128_000]).to(device))["embedding"].cpu().numpy())
        return np.concatenate(found)

    return Row(name, model, peer)


def ast(name: str, device: torch.device) -> Row:
    from transformers import ASTFeatureExtractor, ASTModel

    from soundprobe.backbones.ast import config

    full = load_backbone("ast", weights="random")
    extractor = ASTFeatureExtractor()
    network = ASTModel(config()).eval()
    network.load_state_dict(full.network.ast.state_dict())  # type: ignore[union-attr]
    network.to(device)

    def peer(files: Sequence[str]) -> np.ndarray:
        found = []
        for file in files:
            wave, _ = librosa.load(file, sr=16000, mono=True)
            with torch.no_grad():
                inputs = extractor(wave[:64_000], sampling_rate=16000, return_tensors="pt").to(device)
                found.append(network(**inputs).pooler_output.cpu().numpy())
        return np.concatenate(found)

    if name == "ast":
        return Row(name, full, peer)
    return Row(name, load_backbone("ast", weights="random", clip_seconds=4.0), peer, same_input=False)


def mn04(name: str, device: torch.device) -> Row:
    from torchaudio.compliance.kaldi import get_mel_banks

    model = load_backbone("mn04", weights="random")
    network = load_backbone("mn04", weights="random").network  # for its layers alone, one after the other
    network.to(device)
    window = torch.hann_window(800, periodic=False, device=device)
    at_once = 16 if name == "mn04 in batches" else 1

    def log_mel(wave: torch.Tensor) -> torch.Tensor:
        emphasised = torch.nn.functional.conv1d(wave[:, None], torch.tensor([[[-0.97, 1.0]]], device=device))[:, 0]
        spectrum = torch.stft(
            emphasised, 1024, hop_length=320, win_length=800, window=window, center=True, return_complex=True
        )
        power = torch.view_as_real(spectrum).square().sum(dim=-1)
        banks, _ = get_mel_banks(128, 1024, 32_000.0, 0.0, 15_000.0, 100.0, -500.0, 1.0)  # at every call, as there
        return ((torch.nn.functional.pad(banks, (0, 1)).to(device) @ power + 1e-5).log() + 4.5) / 5.0

    def peer(files: Sequence[str]) -> np.ndarray:
        found = []
        for start in range(0, len(files), at_once):
            waves = [librosa.load(file, sr=32000, mono=True)[0][:128_000] for file in files[start : start + at_once]]
            with torch.no_grad():
                features = network.features(log_mel(torch.from_numpy(np.stack(waves)).to(device))[:, None])
                found.append(torch.nn.functional.adaptive_avg_pool2d(features, 1).flatten(1).cpu().numpy())
        return np.concatenate(found)

    return Row(name, model, peer)


ROWS: dict[str, Callable[[str, torch.device], Row]] = {
    "panns": panns,
    "mn04": mn04,
    "mn04 in batches": mn04,
    "ast": ast,
    "ast at 4 s": ast,
}

if __name__ == "__main__":
    main()
