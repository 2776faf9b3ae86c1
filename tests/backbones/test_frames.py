"""Frames of every backbone that has a time axis, with random weights."""

from __future__ import annotations

import pytest
import torch
from backbone_inputs import Loader, samples_of, sounds

from soundprobe.backbones.load import LoadedBackbone
from soundprobe.backbones.spec import Frames


def frames_of(backbone: LoadedBackbone, waves: torch.Tensor, own: int) -> torch.Tensor:
    """(B, M, D) of waves (B, T), of which the first `own` samples are each clip's: its own frames."""
    assert backbone.spec.frames is not None
    with torch.inference_mode():
        frames = backbone.network.embed_frames(waves, torch.full((len(waves),), own))
    return frames[:, : backbone.spec.frames.count(own)]


def test_frames_of_a_batch_are_finite_float32_and_as_many_as_the_spec_says(
    framed: str, random_backbone: Loader
) -> None:
    backbone = random_backbone(framed)
    samples, rate_hz = samples_of(backbone), backbone.spec.sample_rate_hz
    frames = frames_of(backbone, sounds(samples, rate_hz), samples)
    times_s = backbone.spec.frame_times_s(samples)
    assert frames.shape == (3, len(times_s), backbone.spec.frames.columns)  # type: ignore[union-attr]
    assert frames.dtype == torch.float32
    assert frames.isfinite().all()
    assert 0 <= times_s[0] <= times_s[-1] <= samples / rate_hz
    if len(times_s) > 1:
        assert not torch.equal(frames[0, 0], frames[0, -1])


def test_frames_of_a_clip_alone_or_in_a_batch_are_the_same(framed: str, random_backbone: Loader) -> None:
    backbone = random_backbone(framed)
    samples = samples_of(backbone)
    waves = sounds(samples, backbone.spec.sample_rate_hz)
    own = samples * 2 // 3
    waves[:, own:] = 0
    batch = frames_of(backbone, waves, own)
    for clip in range(3):
        alone = frames_of(backbone, waves[clip : clip + 1], own)[0]
        assert (alone - batch[clip]).abs().max() <= 1e-5 * batch[clip].abs().max()


def test_frames_change_where_the_sound_does(framed: str, random_backbone: Loader) -> None:
    """Of a quiet clip with a click, those that change most lie around it: centres are where the spec says."""
    backbone = random_backbone(framed)
    rate_hz = backbone.spec.sample_rate_hz
    samples = backbone.spec.input_samples(4.0, backbone.settings["clip_seconds"])
    times_s = torch.tensor(backbone.spec.frame_times_s(samples))
    click_s = float(times_s[len(times_s) // 3])
    quiet = 1e-3 * sounds(samples, rate_hz)[2:]
    clicking = quiet.clone()
    clicking[:, round((click_s - 0.02) * rate_hz) : round((click_s + 0.02) * rate_hz)] *= 300
    changes = (frames_of(backbone, clicking, samples) - frames_of(backbone, quiet, samples))[0].abs().mean(dim=1)
    changes[changes < changes.max() / 2] = 0
    middle_s = float((changes * times_s).sum() / changes.sum())
    assert middle_s == pytest.approx(click_s, abs=0.01 + 0.5 * float(times_s[1] - times_s[0]))


def pooled(name: str, network: torch.nn.Module, frames: torch.Tensor) -> torch.Tensor:
    """(B, D) the embedding by the backbone's own pooling of its frames (B, M, D)."""
    mean, most = frames.mean(dim=1), frames.amax(dim=1)
    if name == "panns":
        return network.cnn.fc1(mean + most).relu()  # type: ignore[union-attr,operator]
    if name == "vgg":
        return mean + most
    if name == "crnn":
        return (network.attention(frames).softmax(dim=1) * frames).sum(dim=1)  # type: ignore[operator]
    if name == "simplecnn":
        return network.fc1(frames.unflatten(2, (64, 8)).permute(0, 2, 3, 1).flatten(1)).relu()  # type: ignore[operator]
    return mean


@pytest.mark.parametrize("which", ["mn04", "panns", "vgg", "crnn", "simplecnn", "piczak", "timm:test_efficientnet"])
def test_frames_pooled_as_the_backbone_does_are_its_embedding(which: str, random_backbone: Loader) -> None:
    backbone = random_backbone(which)
    waves = sounds(samples_of(backbone), backbone.spec.sample_rate_hz)
    with torch.inference_mode():
        embedding = backbone.network.embed(waves, torch.full((3,), waves.shape[1]))
        own = pooled(which, backbone.network, frames_of(backbone, waves, waves.shape[1]))  # type: ignore[arg-type]
    torch.testing.assert_close(own, embedding, rtol=0, atol=1e-5 * embedding.abs().max().item())


def test_frames_of_logmel_stats_have_its_means_and_maxima(random_backbone: Loader) -> None:
    backbone = random_backbone("logmel-stats")
    waves = sounds(22_050, 22_050)
    waves[:, 15_000:] = 0
    with torch.inference_mode():
        mean, _, most, _ = backbone.network.embed(waves, torch.full((3,), 15_000)).chunk(4, dim=1)
    frames = frames_of(backbone, waves, 15_000)
    torch.testing.assert_close(frames.mean(dim=1), mean, rtol=0, atol=1e-4)
    assert torch.equal(frames.amax(dim=1), most)


@pytest.mark.parametrize("which", ["panns", "ast", "mn04"])
def test_frames_without_shortcuts_are_the_same(which: str, private_backbone: Loader) -> None:
    backbone = private_backbone(which)
    waves = sounds(samples_of(backbone), backbone.spec.sample_rate_hz)
    quick = frames_of(backbone, waves, waves.shape[1])
    backbone.network.allow_shortcuts(False)
    plain = frames_of(backbone, waves, waves.shape[1])
    assert not torch.equal(plain, quick)
    torch.testing.assert_close(quick, plain, rtol=0, atol=1e-4 * plain.abs().max().item())


def test_frames_count_holds_whole_frames_and_at_least_one() -> None:
    frames = Frames(1, "", hop=10, span=30)
    assert [frames.count(samples) for samples in (1, 29, 30, 39, 40, 59, 60)] == [1, 1, 1, 1, 2, 3, 4]


@pytest.mark.parametrize("seconds", [0.35, 2.3, 4.0])
def test_frames_in_the_network_are_never_fewer_than_the_spec_counts(
    seconds: float, framed: str, random_backbone: Loader
) -> None:
    backbone = random_backbone(framed)
    samples = backbone.spec.input_samples(seconds, backbone.settings["clip_seconds"])
    own = min(samples, round(seconds * backbone.spec.sample_rate_hz))
    assert frames_of(backbone, torch.zeros(1, samples), own).shape[1] == len(backbone.spec.frame_times_s(own))
