"""Time shift: samples move by a known number within the clip's own length."""

from __future__ import annotations

import pytest
import torch

from soundprobe.augment.time_shift import TimeShift, shift_time
from soundprobe.base.errors import ConfigError

COUNTING = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]])


def shifted(samples: int, fill: str, length: int = 5) -> list[float]:
    wave = COUNTING.clone()
    wave[:, length:] = 0
    return shift_time(wave, torch.tensor([length]), torch.tensor([samples]), fill)[0].tolist()


def test_roll_brings_back_what_leaves():
    assert shifted(2, "roll") == [4, 5, 1, 2, 3]
    assert shifted(-1, "roll") == [2, 3, 4, 5, 1]
    assert shifted(7, "roll") == [4, 5, 1, 2, 3]


def test_silence_takes_the_place_of_what_moved():
    assert shifted(2, "silence") == [0, 0, 1, 2, 3]
    assert shifted(-2, "silence") == [3, 4, 5, 0, 0]


@pytest.mark.parametrize(("fill", "expected"), [("roll", [3, 1, 2, 0, 0]), ("silence", [0, 1, 2, 0, 0])])
def test_padding_stays_where_it_is(fill: str, expected: list[float]):
    assert shifted(1, fill, length=3) == expected


def test_each_clip_is_shifted_by_its_own_number():
    wave = COUNTING.repeat(3, 1)
    moved = shift_time(wave, torch.tensor([5, 5, 5]), torch.tensor([0, 1, 2]), "roll")
    assert moved.tolist() == [[1, 2, 3, 4, 5], [5, 1, 2, 3, 4], [4, 5, 1, 2, 3]]


def test_drawn_shifts_reach_the_limit_and_never_pass_it():
    wave = torch.zeros(400, 41)
    wave[:, 20] = 1  # at 10 Hz, 0.5 s are 5 samples
    augmented, _ = TimeShift(max_shift_s=0.5, probability=1.0)(
        wave, torch.full((400,), 41), 10, torch.Generator().manual_seed(0)
    )
    assert set((augmented.argmax(dim=1) - 20).tolist()) == set(range(-5, 6))


def test_silence_keeps_at_least_half_of_a_short_clip():
    wave = torch.ones(200, 10)
    wave[:, 4:] = 0
    shift = TimeShift(max_shift_s=5.0, fill="silence", probability=1.0)
    augmented, lengths = shift(wave, torch.full((200,), 4), 10, torch.Generator().manual_seed(0))
    assert augmented.sum(dim=1).min() == 2
    assert lengths.tolist() == [4] * 200


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_shift_s": -1.0}, "time_shift.max_shift_s = -1.0 is not valid: give 0 to 60."),
        ({"max_shift_s": float("nan")}, "time_shift.max_shift_s = nan is not valid: give 0 to 60."),
        ({"probability": 1.5}, "time_shift.probability = 1.5 is not valid: give 0 to 1."),
        ({"fill": "zero"}, "time_shift.fill = 'zero' is not valid: give 'roll' or 'silence'."),
    ],
)
def test_time_shift_given_a_bad_setting_says_what_is_valid(settings: dict, message: str):
    with pytest.raises(ConfigError) as caught:
        TimeShift(**settings)
    assert str(caught.value) == message
