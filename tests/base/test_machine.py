from __future__ import annotations

from soundprobe.base.machine import made_by, unusual


def test_command_of_a_record_makes_all_folds_whichever_were_asked_for_first() -> None:
    told = "soundprobe finetune --only-fold 1 --data 'a b/' --only-fold=2 -q"
    assert made_by(told)["command"] == "soundprobe finetune --data 'a b/' -q"


def test_keys_from_before_other_devices_were_known_are_those_of_the_cpu() -> None:
    assert unusual("cpu") == {}
    assert unusual("cuda") != unusual("mps")
