"""The stacked perceptrons against torch's own layers, and how epochs are chosen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight
from torch import nn

from soundprobe.base.errors import TrainingError
from soundprobe.heads.mlp import MLPHead
from soundprobe.heads.mlp_training import MemberRecipe, Members, Rows, train, train_in_step, validate
from soundprobe.scoring.folds import inner_split


def blobs(n: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    return (rng.normal(size=(3, 6))[y] + rng.normal(size=(n, 6))).astype(np.float32), y


def plain(members: Members, m: int) -> nn.Sequential:
    """Member m as torch's own layers."""
    layers: list[nn.Module] = []
    for weights, bias in members.layers:
        layer = nn.Linear(weights.shape[1], weights.shape[2])
        layer.weight.data, layer.bias.data = weights[m].detach().T.clone(), bias[m, 0].detach().clone()
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@pytest.mark.parametrize("hidden_layers", [1, 2])
def test_members_trained_side_by_side_equal_networks_trained_alone(hidden_layers: int) -> None:
    Z, y = blobs()
    parts = [np.arange(0, 80), np.arange(41, 120), np.arange(20, 97)]  # 80, 79 and 77 rows: some batches are padded
    means, scales = np.random.default_rng(1).uniform(0.5, 1.5, size=(2, 3, 6))
    recipe = MemberRecipe(10, hidden_layers, learning_rate=1e-2, weight_decay=0.1, dropout=0, batch_size=80, seed=5)
    rows = Rows.of(Z, y, means, scales)
    initial = Members(3, [6, *[10] * hidden_layers, 3], torch.Generator().manual_seed(5))
    epochs = train(rows, parts, recipe)
    for _ in range(4):  # one step an epoch, so that the order of rows doesn't matter
        members, losses = next(epochs)
    for m, own in enumerate(parts):
        network = plain(initial, m)
        optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2, weight_decay=0.1)
        x = torch.from_numpy(((Z[own] - means[m]) / scales[m]).astype(np.float32))
        for _ in range(4):
            loss = nn.functional.cross_entropy(network(x), torch.from_numpy(y[own]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        assert losses[m] == pytest.approx(loss.item(), rel=1e-4)
        for ours, theirs in zip(plain(members, m).parameters(), network.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


def test_rates_trained_in_step_are_to_the_bit_those_trained_alone_and_the_others_stopped() -> None:
    Z, y = blobs()
    parts = [np.arange(0, 80), np.arange(41, 120)]
    rows = Rows.of(Z, y, np.zeros((2, 6)), np.ones((2, 6)))
    recipes = [MemberRecipe(10, 2, rate, weight_decay=0.1, dropout=0.5, batch_size=16, seed=5) for rate in (1e-2, 0.1)]
    going = recipes.copy()
    together = train_in_step(rows, parts, going)
    found = [next(together)]
    del going[0]
    found += [next(together) for _ in range(2)]
    assert [len(trained) for trained in found] == [2, 1, 1]
    for recipe, ours, epochs in zip(recipes, (found[0][0], found[2][0]), (1, 3), strict=True):
        alone = train(rows, parts, recipe)
        for _ in range(epochs):
            members, losses = next(alone)
        np.testing.assert_array_equal(ours[1], losses)
        for mine, theirs in zip(ours[0].parameters(), members.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


def test_dropout_masks_are_drawn_anew_in_each_step_and_once_for_all_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    Z, y = blobs()
    drawn, draw = [], torch.Tensor.bernoulli_
    monkeypatch.setattr(torch.Tensor, "bernoulli_", lambda *own, **how: (drawn.append(own), draw(*own, **how))[1])
    recipes = [MemberRecipe(10, 2, rate, weight_decay=0.1, dropout=0.5, batch_size=20, seed=5) for rate in (1e-2, 0.1)]
    next(train_in_step(Rows.of(Z, y, np.zeros((1, 6)), np.ones((1, 6))), [np.arange(80)], recipes))
    assert len(drawn) == 4 * 2  # steps of 20 rows, hidden layers


def test_members_trained_on_a_clip_that_weighs_k_are_those_trained_on_k_clips() -> None:
    Z, y = blobs()
    times = np.random.default_rng(3).integers(1, 4, len(y))
    recipe = MemberRecipe(10, 1, learning_rate=1e-2, weight_decay=0.1, dropout=0, batch_size=10**6, seed=5)
    one = np.zeros((1, 6)), np.ones((1, 6))
    found = []
    for features, labels, weights in (
        (Z, y, times.astype(np.float64)),
        (np.repeat(Z, times, axis=0), np.repeat(y, times), None),
    ):
        epochs = train(Rows.of(features, labels, *one, weights=weights), [np.arange(len(labels))], recipe)
        found.append([next(epochs) for _ in range(4)][-1])  # one step an epoch: all rows in one batch
    (weighted, loss), (copies, of_copies) = found
    assert loss == pytest.approx(of_copies, rel=1e-5)
    for ours, theirs in zip(weighted.parameters(), copies.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("class_weight", ["balanced", {"b": 3.0}])
def test_mlp_head_with_class_weights_is_trained_as_with_them_given_by_clip(class_weight: Any) -> None:
    Z, y = blobs()
    names = np.array(["a", "b", "c"])[np.where(np.arange(len(y)) % 5 == 0, 0, y)]
    quick = {"widths": (8,), "learning_rates": (1e-2,), "max_epochs": 8, "inner_splits": 2}
    head = MLPHead(**quick, class_weight=class_weight)
    weighed = head.weights_in_loss(np.unique(names), np.unique(names, return_inverse=True)[1], None)
    np.testing.assert_allclose(weighed, compute_sample_weight(class_weight, names))
    plain, fitted = MLPHead(**quick).fit(Z, names), head.fit(Z, names)
    more = slice(0, 1) if class_weight == "balanced" else slice(1, 2)  # "a" is common, so "balanced" calls it less
    change = (fitted.predict_proba(Z) - plain.predict_proba(Z)).mean(axis=0)[more]
    assert change < 0 if class_weight == "balanced" else change > 0


def test_mlp_head_with_weights_is_judged_and_trained_by_the_weighted_loss_of_weighted_rows() -> None:
    Z, y = blobs()
    of_clip = np.random.default_rng(3).uniform(0.1, 4.0, len(y))
    of_row = of_clip / np.bincount(y, of_clip)[y] * of_clip.sum() / 3
    head = MLPHead((8,), (1e-2,), max_epochs=1, inner_splits=2, dropout=0, class_weight="balanced")
    groups = np.arange(len(y)) // 2
    Z[groups % 5 == 0] += 3
    head.fit(Z, y, groups=groups, sample_weight=of_clip)
    splits = inner_split(y, groups, 2, 0)
    scalers = [StandardScaler().fit(Z[own], sample_weight=of_clip[own]) for own, _ in splits]
    of_splits = [np.stack([getattr(one, name) for one in scalers]) for name in ("mean_", "scale_")]
    rows = Rows.of(Z, y, *of_splits, weights=of_row)
    members, _ = next(train(rows, [own for own, _ in splits], head.recipe_for(8, 1e-2, len(y))))
    losses, _ = validate(rows, members, [val for _, val in splits])
    assert head.history_[0]["split_log_losses"] == pytest.approx(losses, rel=1e-4)
    whole = StandardScaler().fit(Z, sample_weight=of_clip)
    rows = Rows.of(whole.transform(Z), y, np.zeros((1, 6)), np.ones((1, 6)), weights=of_row)
    _, loss = next(train(rows, [np.arange(len(y))], head.recipe_for(8, 1e-2, len(y))))
    assert head.history_[-1]["train_loss"] == pytest.approx(loss[0], rel=1e-4)


def test_mlp_head_fitted_with_clips_that_weigh_nothing_is_the_one_without_them_to_the_bit() -> None:
    Z, y = blobs()
    of_clip, head = (y != 2) * np.linspace(0.5, 2, len(y)), MLPHead((8,), (1e-2,), max_epochs=3, inner_splits=2)
    kept = of_clip > 0
    fitted, other = (
        MLPHead(**head.get_params()).fit(Z[own], y[own], sample_weight=of_clip[own])
        for own in (np.ones(len(y), dtype=bool), kept)
    )
    assert fitted.classes_.tolist() == [0, 1]
    for name, array in fitted.state_dict().items():
        assert array.tobytes() == other.state_dict()[name].tobytes()


@pytest.mark.parametrize("weighted", [False, True])
def test_validate_of_members_is_cross_entropy_and_accuracy_on_their_own_rows(weighted: bool) -> None:
    Z, y = blobs()
    weights = np.linspace(0.1, 3, len(y)) if weighted else np.ones(len(y))
    rows = Rows.of(Z, y, np.full((2, 6), 0.3), np.full((2, 6), 1.7), weights=weights if weighted else None)
    members = Members(2, [6, 4, 3], torch.Generator().manual_seed(0))
    parts = [np.arange(10), np.arange(50, 120)]
    losses, accuracies = validate(rows, members, parts)
    for m, own in enumerate(parts):
        logits = plain(members, m)(torch.from_numpy((Z[own] - 0.3) / 1.7).float())
        of_rows = nn.functional.cross_entropy(logits, torch.from_numpy(y[own]), reduction="none").detach().numpy()
        assert losses[m] == pytest.approx(np.average(of_rows, weights=weights[own]), rel=1e-4)
        assert accuracies[m] == pytest.approx((logits.argmax(dim=1).numpy() == y[own]).mean())


def test_mlp_head_trains_finally_for_the_epochs_with_the_lowest_mean_validation_loss() -> None:
    X, y = blobs()
    head = MLPHead(widths=(8, 4), learning_rates=(3e-2, 1e-2), max_epochs=30, patience=3, batch_size=16).fit(X, y)
    selection = [h for h in head.history_ if h["stage"] == "selection"]
    best = min(selection, key=lambda h: h["log_loss"])
    assert head.chosen_ == {
        "width": best["width"],
        "learning_rate": best["learning_rate"],
        "epochs": best["epoch"],
    }
    assert [h["epoch"] for h in head.history_ if h["stage"] == "final"] == list(range(1, best["epoch"] + 1))
    for width in (4, 8):
        for rate in (1e-2, 3e-2):
            losses = [h["log_loss"] for h in selection if (h["width"], h["learning_rate"]) == (width, rate)]
            lowest, idle = np.inf, 0
            for epoch, loss in enumerate(losses, 1):
                lowest, idle = (loss, 0) if loss < 0.99 * lowest else (lowest, idle + 1)
                assert (idle == 3 or epoch == 30) == (epoch == len(losses))
    assert all(h["log_loss"] == pytest.approx(np.mean(h["split_log_losses"])) for h in selection)
    assert head.weights_0_.shape == (6, best["width"])


def test_mlp_head_of_two_hidden_layers_is_saved_whole() -> None:
    X, y = blobs()
    head = MLPHead(widths=(5,), learning_rates=(1e-2,), hidden_layers=2, max_epochs=5).fit(X, y)
    shapes = {name: array.shape for name, array in head.state_dict().items()}
    assert shapes["weights_1"] == (5, 5)
    assert shapes["bias_2"] == (3,)
    loaded = MLPHead.from_state(head.state_dict(), head.state_params())
    np.testing.assert_array_equal(loaded.predict_proba(X), head.predict_proba(X))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_mlp_head_fitted_where_gradients_are_off_is_the_same(mode: type) -> None:
    X, y = blobs()
    settings = {"widths": (5,), "learning_rates": (1e-2,), "max_epochs": 4}
    expected = MLPHead(**settings).fit(X, y).predict_proba(X)
    with mode():
        head = MLPHead(**settings).fit(X, y)
        np.testing.assert_array_equal(head.predict_proba(X), expected)


def test_mlp_head_with_another_seed_differs() -> None:
    X, y = blobs()
    one, other = (MLPHead(widths=(5,), learning_rates=(1e-2,), max_epochs=4, seed=s).fit(X, y) for s in (0, 1))
    assert not np.array_equal(one.weights_0_, other.weights_0_)


def test_mlp_head_with_a_grid_in_another_order_is_the_same() -> None:
    X, y = blobs()
    settings = {"max_epochs": 6, "patience": 2}
    one = MLPHead(widths=(4, 6), learning_rates=(1e-2, 1e-3), **settings).fit(X, y)
    other = MLPHead(widths=(6, 4, 4), learning_rates=(1e-3, 1e-2), **settings).fit(X, y)
    assert one.history_ == other.history_
    np.testing.assert_array_equal(one.weights_0_, other.weights_0_)


def test_train_with_more_steps_than_a_members_rows_stays_finite() -> None:
    Z, y = blobs()
    rows = Rows.of(Z, y, np.zeros((2, 6)), np.ones((2, 6)))
    recipe = MemberRecipe(4, 1, learning_rate=1e-2, weight_decay=0, dropout=0.5, batch_size=1, seed=0)
    _, losses = next(train(rows, [np.arange(120), np.arange(5)], recipe))
    assert np.isfinite(losses).all()


def test_mlp_whose_loss_is_not_a_number_names_width_rate_and_epoch():
    labels = np.arange(60) % 3
    X = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)
    head = MLPHead(widths=(8,), learning_rates=(10.0,), weight_decay=10.0)  # each step makes weights 99 times as large
    with pytest.raises(TrainingError, match=r"not finite at width 8, learning rate 10, epoch \d+\. Leave that"):
        head.fit(X, labels)
