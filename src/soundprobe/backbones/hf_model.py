"""Which model of transformers a name means: `hf:OWNER/NAME[@REVISION]` on the Hugging Face Hub, or `hf:./folder`.

Its files are found and looked at before PyTorch is imported.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from soundprobe.backbones.spec import BackboneSpec
from soundprobe.base.errors import ConfigError, WeightsError, one_line
from soundprobe.base.model_hub import ADDRESS, UNTRAINED, cached_file, endpoint, model_info, unreachable
from soundprobe.base.registry import is_allowed

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
EXTRACTORS = ("preprocessor_config.json", "processor_config.json")
MOST = 2**22
"""Above any number of a feature extractor's configuration, which sets aside memory by them before it hears anything."""
MOST_SECONDS = 3600
IN_SECONDS = ("chunk_length", "chunk_length_s", "max_length_s")


def hf_spec(address: str) -> BackboneSpec:
    """The spec of a model of transformers.

    Args:
        address: OWNER/NAME[@REVISION] on the Hub, or a folder as ./folder, /folder or ~/folder.

    Raises:
        ConfigError: it is no address, or no model that hears. WeightsError: it is not in the Hub's cache, and can't be
            had.
    """
    where = f"hf:{address}"
    if address.startswith((".", "/", "~")):
        repo = None
        try:
            folder = Path(address).expanduser()
            is_there = (folder / CONFIG).is_file()
        except (OSError, RuntimeError) as error:  # too long a name, or no such user
            raise ConfigError(
                f"{where} can't be looked for: {one_line(error)[:100]}. Give a model's folder."
            ) from error
        if not is_there:
            raise ConfigError(
                f"{where}: there is no {folder / CONFIG}{'' if folder.is_absolute() else f' below {Path.cwd()}'}. "
                "Give the folder of a model as transformers saves it; of a run, go to where it was extracted."
            )
    else:
        match = ADDRESS.fullmatch(address)
        if match is None:
            raise ConfigError(f"{where!r} is no model: give hf:OWNER/NAME, hf:OWNER/NAME@REVISION or hf:./folder.")
        cached = cached_file(match[1], (CONFIG,), match[2])
        folder = Path(cached).parent if cached else fetched(match[1], match[2], where, (CONFIG, *EXTRACTORS))
        if not any((folder / name).exists() for name in EXTRACTORS):
            folder = fetched(match[1], folder.name, where, EXTRACTORS)
        repo = (match[1], folder.name)
    named = own_code(folder, where)
    if not any((folder / name).is_file() for name in EXTRACTORS):
        raise ConfigError(
            f"{where} is no audio encoder: it has no feature extractor with a sampling rate "
            f"({' or '.join(EXTRACTORS)} beside {CONFIG})."
        )
    code = named if is_allowed(where) else []
    if elsewhere := next((name for name in code if "--" in name), None):
        raise ConfigError(f"{where} runs code of another repository ({elsewhere}), which its revision doesn't pin.")
    if code and repo and not any(folder.glob("*.py")):
        folder = fetched(*repo, where, ("*.py",))
    files = [folder / name for name in (CONFIG, *EXTRACTORS)] + sorted(folder.glob("*.py")) * bool(code)
    content = b"".join(f"{path.name}\0".encode() + path.read_bytes() for path in files if path.is_file())
    from soundprobe.backbones.transformers_audio import measured_spec  # only now what takes seconds to import

    return measured_spec(where, folder, repo, hashlib.sha256(content).hexdigest(), bool(code))


def fetched(repo: str, revision: str | None, where: str, files: Sequence[str]) -> Path:
    """The folder of the Hub's cache with those of a repository's `files` that it has.

    Raises:
        WeightsError: they can't be had.
    """
    from huggingface_hub import snapshot_download

    what = f"{files[0]} of {where} is"
    instead = UNTRAINED if WEIGHTS in files else "give a folder (hf:./folder)"
    info = model_info(what, repo, revision, instead=instead)
    if WEIGHTS in files and not {WEIGHTS, INDEX} & (names := {file.rfilename for file in info.siblings or ()}):
        raise no_safetensors(where, names)
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=list(files), endpoint=endpoint()))
    except Exception as error:  # the client's own errors, and those of the HTTP library under it
        raise unreachable(what, f"https://huggingface.co/{repo}", one_line(error)[:200], instead) from error


def no_safetensors(where: str, files: Iterable[str]) -> WeightsError:
    """What to say of a model that has these files alone."""
    others = sorted(name for name in files if name.endswith((".bin", ".pt", ".pth", ".ckpt")))
    only = f", only {', '.join(others[:3])}, and opening one of those may run code" if others else ""
    return WeightsError(
        f"{where} has no {WEIGHTS}{only}. Give a model or revision with safetensors (save_pretrained writes them), "
        "or use --weights random."
    )


def own_code(folder: Path, where: str) -> list[str]:
    """The classes of a model's own that its configuration names: "module.Class".

    Raises:
        ConfigError: a file is no JSON object, or its numbers are no feature extractor's.
    """
    named: list[str] = []
    for name in (CONFIG, *EXTRACTORS):
        if (folder / name).is_file():
            try:
                told = json.loads((folder / name).read_text(encoding="utf-8"))
                named += map(str, (told.get("auto_map") or {}).values())
                extractor = {} if name == CONFIG else {**told, **told.get("feature_extractor", {})}
            except (ValueError, AttributeError, TypeError, RecursionError) as error:
                why = one_line(error)[:100]
                raise ConfigError(f"{where}: {name} is no JSON object ({why}). Fetch it again.") from error
            for field, value in extractor.items():
                most = MOST_SECONDS if field in IN_SECONDS else MOST
                if isinstance(value, int | float) and abs(value) > most:
                    raise ConfigError(f"{where}: {name} has {field} = {value}, and sound needs at most {most}.")
    return named
