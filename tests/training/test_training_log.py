"""What can be watched: the CSV files and the table that is drawn from them."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from soundprobe.training.log import (
    folds_table,
    history_path,
    live_table,
    read_history,
    tensorboard_writer,
    write_history,
)

LINE = {
    "epoch": 2,
    "lr": 1e-3,
    "train_loss": 0.1 + 0.2,
    "train_loss_eval": 0.25,
    "validation_loss": None,
    "validation_accuracy": None,
    "seconds": 30.0,
    "clips_per_s": 12.0,
}


def shown(folder: Path) -> str:
    console = Console(width=120, record=True, file=(folder / "screen.txt").open("w"))
    console.print(folds_table("fine-tune", folder, [1, 2], 10))
    return console.export_text()


def test_history_keeps_full_precision_and_leaves_missing_values_empty(tmp_path: Path):
    path = history_path(tmp_path, 1)
    write_history(path, [{**LINE, "epoch": 1}, LINE])
    (_, last) = read_history(path)
    assert float(last["train_loss"]) == LINE["train_loss"]
    assert last["validation_loss"] == ""
    assert path.name == "fold-01-history.csv"
    assert read_history(history_path(tmp_path, 2)) == []


def test_table_shows_losses_rate_and_time_left_of_each_fold(tmp_path: Path):
    write_history(history_path(tmp_path, 1), [{**LINE, "epoch": 1}, LINE])
    one, two = (line.split() for line in shown(tmp_path).splitlines()[2:4])
    assert one == ["1", "2", "/", "10", "0.300", "0.250", "-", "-", "1.0e-03", "12", "4:00"]  # 8 epochs of 30 s
    assert two == ["2", "-", "/", "10"]


def test_table_counts_the_trials_of_a_fold_that_still_chooses(tmp_path: Path):
    (tmp_path / "checkpoints").mkdir()
    for trial in ("1-1", "1-2"):
        (tmp_path / "checkpoints" / f"fold-02-choose-{trial}.json").touch()
    assert shown(tmp_path).splitlines()[3].split() == ["2", "choosing", "(2)"]


def test_table_says_when_a_fold_is_done(tmp_path: Path):
    write_history(history_path(tmp_path, 1), [LINE])
    (tmp_path / "fold-01.safetensors").touch()
    assert shown(tmp_path).splitlines()[2].split()[-1] == "done"


def test_nothing_is_drawn_where_standard_error_is_no_terminal(tmp_path: Path, capsys):
    with live_table("fine-tune", tmp_path, [1], 10, shown=True):
        pass
    assert capsys.readouterr() == ("", "")


def test_tensorboard_logs_hold_every_figure_and_drop_what_a_killed_run_logged_later(tmp_path: Path):
    from tensorboard.backend.event_processing import event_accumulator as events

    log = tensorboard_writer(tmp_path, 1)
    for epoch in (1, 2, 3):
        log({**LINE, "epoch": epoch, "train_loss": 1.0 / epoch})
    again = tensorboard_writer(tmp_path, 3)  # killed after epoch 3 was logged, before it was saved
    again({**LINE, "epoch": 3, "train_loss": 0.25})
    found = events.EventAccumulator(str(tmp_path)).Reload()
    assert set(found.Tags()["scalars"]) == {"lr", "train_loss", "train_loss_eval", "seconds", "clips_per_s"}
    assert [(event.step, round(event.value, 6)) for event in found.Scalars("train_loss")] == [
        (1, 1.0),
        (2, 0.5),
        (3, 0.25),
    ]


def test_damaged_history_is_none_until_the_next_epoch_writes_it(tmp_path: Path):
    path = history_path(tmp_path, 1)
    write_history(path, [LINE])
    whole = path.read_bytes()
    for damaged in (b"", whole[:40], whole.replace(b"30.0", b"nan"), whole.replace(b"12.0", b""), b"\xff" + whole):
        path.write_bytes(damaged)
        assert read_history(path) == []
        assert "- / 10" in shown(tmp_path)
    path.write_bytes(whole)
    assert len(read_history(path)) == 1
