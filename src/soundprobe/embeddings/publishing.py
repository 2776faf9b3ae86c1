"""A finished set of embeddings for others: its parts, its record without where the clips were, and a dataset card."""

from __future__ import annotations

import html
import shutil
from pathlib import Path

from soundprobe.base.digests import check_file
from soundprobe.base.errors import StoreError
from soundprobe.base.files import write_text
from soundprobe.data.catalog import LICENCES
from soundprobe.embeddings.store import SetRecord, is_complete, open_set

READING = """\
import datasets

rows = datasets.load_dataset("parquet", data_files="part-*.parquet", split="train")
print(rows[0]["clip_id"], rows[0]["class"], len(rows[0]["embedding"]))
"""


def write_set(source: Path, folder: Path, *, data_licence: str | None = None) -> str:
    """Writes the set in `source` into `folder`, which is there and empty; returns what the set is called.

    Raises:
        StoreError: the set isn't finished, or is one network's of a fine-tuning run, which others would score wrongly.
        DamagedError: a part is not what was written.
    """
    if not is_complete(source):
        raise StoreError(f"{source} is not finished. Run the same extract again: it goes on from there.")
    told = open_set(source).record
    if told.finetuned is not None:
        raise StoreError(
            f"{source} belongs to one fold of a fine-tuning run, on whose clips alone it may be scored. "
            "Push a set of a frozen backbone."
        )
    for part in told.parts:
        check_file(source / part.file)
        shutil.copyfile(source / part.file, folder / part.file)
    data = {name: value for name, value in told.content["dataset"].items() if name not in ("opened_as", "notes")}
    path = folder / "meta.json"
    SetRecord.of({**told.content, "dataset": data, "audio_root": told.audio_root and ".", "command": ""}, path).write(
        path
    )
    name = f"{told.backbone.name}-{told.dataset.name}"
    write_text(folder / "README.md", dataset_card(told, name, data_licence))
    return name


def dataset_card(told: SetRecord, name: str, data_licence: str | None) -> str:
    """README.md: metadata for the Hub, and what a reader has to know."""
    from huggingface_hub import DatasetCardData

    backbone, data = told.backbone, told.dataset
    licence = data_licence or LICENCES.get(data.name, "not known: find out before you share this")
    metadata = DatasetCardData(
        pretty_name=name,
        tags=["audio", "embeddings", "soundprobe"],
        task_categories=["audio-classification"],
        license="other",
        license_name="of-its-clips",
        license_link="README.md",
        configs=[{"config_name": "default", "data_files": [{"split": "train", "path": "part-*.parquet"}]}],
    )
    rows = {
        "clips": f"{told.embedded:,} of {data.name}, {len(told.failures):,} more could not be embedded",
        "classes": ", ".join(data.class_names),
        "folds": f"{', '.join(map(str, data.folds))}, in the column `fold`: test each on what the others trained",
        "recordings": "in the column `group`: keep a recording's clips together",
        "backbone": f"{backbone.title}, {backbone.weights_label}, sha256 {backbone.weights_sha256}",
        "embedding": f"{backbone.embedding_dim} float32; {backbone.settings.get('pooling', '')}",
        "licence of the clips": licence,
        "key": f"{told.key}, fingerprint of the data {data.fingerprint}",
    }
    table = "\n".join(f"| {label} | {in_cell(text)} |" for label, text in rows.items())
    return (
        f"---\n{metadata.to_yaml()}\n---\n\n# {in_cell(name)}\n\nEmbeddings of audio clips, made with soundprobe.\n\n"
        f"| | |\n|---|---|\n{table}\n\n```python\n{READING}```\n"
    )


def in_cell(given: str) -> str:
    """What a stranger may have named, as text in a cell of a Markdown table."""
    plain = "".join(letter if letter.isprintable() else " " for letter in given)
    return html.escape(plain, quote=False).translate({ord(mark): f"&#{ord(mark)};" for mark in "|`*_[]\\"})
