"""A run or a set of embeddings on the Hugging Face Hub: `soundprobe push`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from soundprobe.base.errors import ConfigError, ExportError, one_line
from soundprobe.base.files import offline, scratch_folder
from soundprobe.base.model_hub import endpoint
from soundprobe.base.remote import local_if_url
from soundprobe.predicting.hub_bundles import PREFIX, check_repo
from soundprobe.predicting.loading import find_heads

if TYPE_CHECKING:
    from huggingface_hub import HfApi

NO_TOKEN = "Log in with `hf auth login`, or set HF_TOKEN to a token that may write."  # noqa: S105  (a sentence)
REPLACED = ("*.parquet", "*.safetensors", "*.json")
"""What goes from a repository that is pushed to again."""


@dataclass(frozen=True)
class Pushed:
    """What went to the Hub, or would.

    Attributes:
        kind: of the repository; repo: OWNER/NAME; private: as it was asked to be made where it is new.
        files: name -> bytes; card: the text of its README.md.
        url, commit: None of a dry run.
    """

    kind: Literal["model", "dataset"]
    repo: str
    private: bool
    files: Mapping[str, int]
    card: str
    url: str | None = None
    commit: str | None = None


def push(
    what: str | Path,
    *,
    repo: str,
    private: bool = True,
    dry_run: bool = False,
    heads: str | Path = "heads",
    dataset: str | None = None,
    weights: str | Path | None = None,
    data_licence: str | None = None,
    progress: bool = True,
) -> Pushed:
    """Puts a run, as a bundle with a model card, or a set of embeddings, with a dataset card, on the Hub.

    A repository that is there gets one new commit, and stays as private as it is. Nothing is sent that says where the
    clips were.

    Args:
        what: a run as for `predict`, the folder of a bundle, or that of a finished set or its URL.
        repo: OWNER/NAME.
        private: whether a new repository is only for its owner.
        dry_run: write everything, send nothing.
        heads, dataset, weights, data_licence: as for `export`; progress: show bars.

    Raises:
        ConfigError: the name is none, no run is named so, there is no token, or the network may not be used.
        StoreError, WeightsError: as for `export`. ExportError: the Hub can't be reached, or refuses.
    """
    check_repo(repo)
    api = None if dry_run else _api()
    what = local_if_url(what)
    is_set = (Path(what) / "meta.json").exists()
    source = Path(what) if is_set else find_heads(what, heads=heads, dataset=dataset)
    kind: Literal["model", "dataset"] = "dataset" if is_set else "model"
    with scratch_folder() as folder:
        if is_set:
            from soundprobe.embeddings.publishing import write_set

            name = write_set(source, folder, data_licence=data_licence)
        else:
            from soundprobe.predicting.exporting import write_export

            name = write_export(
                source,
                folder,
                "bundle",
                heads=heads,
                weights=weights,
                data_licence=data_licence,
                address=f"{PREFIX}{repo}",
                progress=progress,
            ).name
        files = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
        card = (folder / "README.md").read_text(encoding="utf-8")
        told = Pushed(kind, repo, private, files, card)
        return told if api is None else _send(api, told, folder, name)


def _api() -> HfApi:
    if offline():
        raise ConfigError(f"{offline()} forbids to use the network. Unset it, or see what would go with --dry-run.")
    from huggingface_hub import HfApi, get_token

    if get_token() is None:
        raise ConfigError(f"Pushing needs a token for the Hugging Face Hub, and there is none. {NO_TOKEN}")
    return HfApi(endpoint=endpoint(), library_name="soundprobe")


def _send(api: HfApi, told: Pushed, folder: Path, name: str) -> Pushed:
    try:
        url = api.create_repo(told.repo, repo_type=told.kind, private=told.private, exist_ok=True)
        done = api.upload_folder(
            repo_id=told.repo,
            repo_type=told.kind,
            folder_path=folder,
            commit_message=f"Push {name} with soundprobe",
            delete_patterns=[*REPLACED],
        )
    except Exception as error:  # the client's own errors, and those of the HTTP library under it
        raise ExportError(f"{told.repo} can't be pushed to: {one_line(error)[:300]}. {NO_TOKEN}") from error
    return replace(told, url=str(url), commit=done.oid)
