"""The loop: it learns, resumes, stops, averages, and says where a loss went astray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_parts import small_network, small_part

from damage import damage
from soundprobe.backbones.protocol import SpectrogramBackbone
from soundprobe.base.digests import read_checked
from soundprobe.base.errors import SoundprobeWarning, TrainingError
from soundprobe.base.machine import half_type
from soundprobe.heads.linear import LinearHead
from soundprobe.training.averaging import AveragedWeights
from soundprobe.training.evaluating import clip_losses, embed, judge
from soundprobe.training.feeding import batches_of, seeded
from soundprobe.training.loop import Trained, train
from soundprobe.training.networks import FinetunedNetwork, probabilities
from soundprobe.training.probe_start import start_from_probe
from soundprobe.training.recipes import FinetuneRecipe, TrainingTable
from soundprobe.training.state import Setting

CPU = torch.device("cpu")
NUMBERS = ("epoch", "lr", "train_loss", "train_loss_eval", "validation_loss", "validation_accuracy")


def recipe(augment: dict[str, Any] | None = None, **table: object) -> FinetuneRecipe:
    given = {"epochs": 6, "batch_size": 8, "lr": 0.02, **table}
    return FinetuneRecipe(backbone="small", training=TrainingTable(**given), augment=augment or {})


def numbers(trained: Trained) -> list[list[float]]:
    return [[line[name] for name in NUMBERS] for line in trained.history]


def test_training_lowers_the_loss_and_the_best_validation_epoch_is_chosen():
    validation = small_part(seed=1)
    network = small_network()
    trained = train(network, small_part(), validation, recipe(), Setting(1, 0, CPU, 1000))
    losses = [line["validation_loss"] for line in trained.history]
    assert trained.history[-1]["train_loss_eval"] < trained.history[0]["train_loss_eval"]
    assert trained.epoch == 1 + int(np.argmin(losses))
    network.load_state_dict(trained.weights)
    assert judge(network, validation, CPU, 8).loss == pytest.approx(min(losses), abs=1e-6)


def test_mixed_precision_trains_and_leaves_float32_weights_that_are_judged_in_float32():
    network, part = small_network(), small_part()
    trained = train(network, part, None, recipe(mixed_precision=True), Setting(1, 0, CPU, 1000))
    assert trained.history[-1]["train_loss_eval"] < trained.history[0]["train_loss_eval"]
    assert {tensor.dtype for tensor in trained.weights.values() if tensor.is_floating_point()} == {torch.float32}
    network.load_state_dict(trained.weights)
    exact = judge(network, part, CPU, 8)
    rough = judge(network, part, CPU, 8, torch.bfloat16)
    assert exact.proba.dtype == np.float32
    assert 0 < abs(exact.loss - rough.loss) < 0.05 * exact.loss


@pytest.mark.parametrize(
    ("able", "half"),
    [({"avx512_bf16": True}, torch.bfloat16), ({"amx_bf16": True}, torch.bfloat16), ({"avx512_f": True}, None)],
)
def test_processor_without_bfloat16_in_hardware_trains_in_float32(monkeypatch, able, half):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert half_type(CPU) == half


def test_patience_ends_training_after_so_many_epochs_without_a_better_one():
    wrong = small_part(seed=1)
    wrong.labels[:] = (wrong.labels + 1) % 3  # the better the network, the worse its validation loss
    trained = train(small_network(), small_part(), wrong, recipe(epochs=20, patience=2), Setting(1, 0, CPU, 1000))
    assert len(trained.history) == trained.epoch + 2 < 20


@pytest.mark.parametrize("stopped_after", [1, 4])
def test_resumed_training_equals_unbroken_training_bit_for_bit(tmp_path: Path, stopped_after: int):
    everything = recipe(
        {"time_shift": {"max_shift_s": 0.01}, "background_noise": {}, "spec_augment": {"max_bands": 3}, "mixup": {}},
        schedule="plateau",
        plateau_patience=0,
        ema=0.8,
        head_epochs=1,
        accumulate=2,
        clip_norm=1.0,
    )
    training, validation = small_part(waves=True), small_part(seed=1)
    whole = train(small_network(0.5), training, validation, everything, Setting(1, 0, CPU, 1000))
    path = tmp_path / "state.pt"
    train(small_network(0.5), training, validation, everything, Setting(1, 0, CPU, 1000, path, stopped_after))
    torch.manual_seed(99)  # another process has other random numbers
    resumed = train(small_network(0.5, seed=7), training, validation, everything, Setting(1, 0, CPU, 1000, path))
    assert numbers(resumed) == numbers(whole)
    assert resumed.epoch == whole.epoch
    assert all(torch.equal(resumed.weights[name], tensor) for name, tensor in whole.weights.items())


def test_training_that_goes_on_with_other_threads_says_so_and_tells_each_epochs_number(tmp_path: Path):
    before, path = torch.get_num_threads(), tmp_path / "state.pt"
    try:
        torch.set_num_threads(2)
        train(small_network(), small_part(), None, recipe(), Setting(4, 0, CPU, 1000, path, 1))
        torch.set_num_threads(3)
        with pytest.warns(SoundprobeWarning, match=r"Fold 4 goes on with 3 threads after 2: .* OMP_NUM_THREADS=2"):
            resumed = train(small_network(), small_part(), None, recipe(epochs=2), Setting(4, 0, CPU, 1000, path))
    finally:
        torch.set_num_threads(before)
    assert [line["threads"] for line in resumed.history] == [2, 3]


@pytest.mark.parametrize("how", ["cut", "flipped", "foreign"])
def test_damaged_checkpoint_is_named_and_training_begins_anew(tmp_path: Path, how: str):
    path = tmp_path / "state.pt"
    setting = Setting(1, 0, CPU, 1000, path)
    whole = train(small_network(), small_part(), None, recipe(), setting)
    if how == "foreign":
        path.write_bytes(b"PK half a file")
    else:
        damage(path, how)
    with pytest.warns(SoundprobeWarning, match=r"state.pt is damaged: .* It is made again"):
        again = train(small_network(), small_part(), None, recipe(), setting)
    assert numbers(again) == numbers(whole)
    assert all(torch.equal(again.weights[name], tensor) for name, tensor in whole.weights.items())
    read_checked(path)


def test_training_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(small_network(0.5), small_part(), None, recipe(), Setting(1, 0, CPU, 1000))
    assert torch.equal(torch.rand(3), expected)


def test_accumulated_passes_give_the_step_of_the_whole_batch():
    common = {"epochs": 2, "freeze_batchnorm": True, "optimiser": "sgd", "lr": 0.01}
    one = train(small_network(), small_part(), None, recipe(**common), Setting(1, 0, CPU, 1000))
    four = train(small_network(), small_part(), None, recipe(accumulate=4, **common), Setting(1, 0, CPU, 1000))
    for name, tensor in one.weights.items():
        torch.testing.assert_close(four.weights[name], tensor, rtol=1e-4, atol=1e-6)


def test_loss_that_is_not_a_number_names_step_fold_epoch_and_suspect():
    with pytest.raises(TrainingError) as error:
        train(small_network(), small_part(), None, recipe(lr=1e30, optimiser="sgd"), Setting(3, 0, CPU, 1000))
    assert str(error.value).startswith("The loss is nan at step ") or "after fold 3" in str(error.value)
    assert "fold 3, epoch 1" in str(error.value)
    assert "Suspect: training.lr = 1e+30 is high for sgd; try --set training.lr=1e+29" in str(error.value)
    first = r"^The loss is nan at step 1 \(fold 3, epoch 1, batch 1 of \d+\)\. Suspect: the gradient has no limit; try"
    with pytest.raises(TrainingError, match=rf"{first} --set training.clip_norm=1.0"):
        broken = small_network()
        broken.head.weight.data[0, 0] = float("nan")
        train(broken, small_part(), None, recipe(lr=1e-3), Setting(3, 0, CPU, 1000))


def test_weight_of_zero_takes_a_clip_out_of_the_loss():
    part = small_part()
    part.weights[part.labels == 2] = 0.0
    network = small_network()
    trained = train(network, part, None, recipe(epochs=12), Setting(1, 0, CPU, 1000))
    network.load_state_dict(trained.weights)
    assert 2 not in judge(network, part, CPU, 8).proba.argmax(axis=1)


def test_averaged_weights_lie_between_the_first_and_the_last():
    network = small_network()
    averaged = AveragedWeights(network, decay=0.05)
    first = network.head.weight.detach().clone()
    with torch.no_grad():
        network.head.weight += 1.0
    averaged.update(network)
    torch.testing.assert_close(averaged.network.head.weight, first + 0.95)


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_interpolated_weights_lie_between_the_start_and_the_trained_ones(share: float):
    start = small_network().state_dict()
    setting = Setting(1, 0, CPU, 1000)
    whole = train(small_network(), small_part(), None, recipe(epochs=2), setting).weights
    part = train(small_network(), small_part(), None, recipe(epochs=2, interpolate=share), setting).weights
    for name in ("head.weight", "backbone.blocks.0.conv.weight", "backbone.blocks.0.norm.running_mean"):
        torch.testing.assert_close(part[name], start[name] + share * (whole[name] - start[name]))


def test_linear_probe_start_gives_the_probes_own_probabilities():
    training, network = small_part(60), small_network()
    chosen = start_from_probe(network, training, device=CPU, batch_size=8, seed=0)
    features = embed(network, training, CPU, 8)
    probe = LinearHead(seed=0).fit(features, training.labels, groups=training.recordings)
    assert chosen == {"probe_strength": probe.chosen_["strength"]}
    np.testing.assert_allclose(judge(network, training, CPU, 8).proba, probe.predict_proba(features), atol=1e-5)


def test_linear_probe_start_makes_an_absent_class_improbable():
    training = small_part(60)
    two = training.labels != 1
    part = type(training)(
        training.inputs,
        training.rows[two],
        training.ids[two],
        training.labels[two],
        training.recordings[two],
        training.weights[two],
    )
    network = small_network()
    start_from_probe(network, part, device=CPU, batch_size=8, seed=0)
    assert judge(network, part, CPU, 8).proba[:, 1].max() < 0.01


def test_batches_hold_every_clip_once_and_never_one_alone():
    batches = batches_of(np.arange(17), 8)
    assert [len(batch) for batch in batches] == [8, 9]
    assert np.concatenate(batches).tolist() == list(range(17))
    assert [len(batch) for batch in batches_of(np.arange(1), 8)] == [1]


def test_epochs_differ_in_their_random_numbers_and_the_same_epoch_does_not():
    def draw(fold: int, epoch: int) -> list[float]:
        with seeded(0, fold, epoch, CPU) as generator:
            return [*torch.rand(2, generator=generator).tolist(), *torch.rand(2).tolist()]

    assert draw(1, 1) == draw(1, 1)
    assert len({tuple(draw(fold, epoch)) for fold in (1, 2) for epoch in (1, 2, 12)}) == 6


def test_loss_over_segments_is_their_mean_and_probabilities_too():
    logits = torch.tensor([[[0.0, 0.0], [2.0, 0.0]]])  # one clip of two segments
    votes = torch.tensor([[0.5, 0.5]])
    losses = clip_losses(logits, votes, torch.tensor([[1.0, 0.0]]))
    each = torch.tensor([2.0, 1 + np.exp(-2.0)], dtype=torch.float32).log()
    torch.testing.assert_close(losses, each.mean()[None])
    torch.testing.assert_close(probabilities(logits, votes)[0, 0], (0.5 + torch.tensor(2.0).sigmoid()) / 2)


def test_network_with_segments_is_asked_for_each_of_them():
    class InTwo(SpectrogramBackbone):
        def __init__(self) -> None:
            super().__init__()
            self.fc = torch.nn.Linear(30, 5)

        def spectrogram(self, wave: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
            return wave.unflatten(1, (6, 10))

        def embed_spectrogram(self, spectrogram: torch.Tensor) -> torch.Tensor:
            return self.embed_segments(spectrogram)[:, 0]

        def embed_segments(self, spectrogram: torch.Tensor) -> torch.Tensor:
            return self.fc(torch.stack(spectrogram.split(5, dim=2), dim=1).flatten(2))  # (B, 2, 5)

        def votes(self, spectrogram: torch.Tensor) -> torch.Tensor:
            return torch.tensor([[1.0, 0.0]]).expand(len(spectrogram), 2)

    torch.manual_seed(0)
    network = FinetunedNetwork(InTwo(), 5, 3, dropout=0.0, seed=0)
    assert network(torch.randn(4, 6, 10)).shape == (4, 2, 3)
    assert network.votes(torch.randn(4, 6, 10)).tolist() == [[1.0, 0.0]] * 4
    trained = train(network, small_part(), small_part(seed=1), recipe(epochs=30), Setting(1, 0, CPU, 1000))
    assert trained.history[-1]["validation_accuracy"] > 0.5
