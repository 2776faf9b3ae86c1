"""Read weight files without running code that is in them.

Importing this module doesn't import torch.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from soundprobe.base.errors import WeightsError, one_line

if TYPE_CHECKING:
    from torch import Tensor


def load_state_dict(path: Path) -> dict[str, Tensor]:
    """What is in a weight file, on the CPU. Nothing is unwrapped: {"model": state_dict} comes back as it is.

    `.safetensors` is read as such, anything else as a file of `torch.save` by PyTorch's restricted unpickler, which
    builds tensors and plain containers only and runs no code from the file.

    Raises:
        WeightsError: the file is missing, truncated or of another kind, holds no named tensors, or would need an
            unrestricted pickle.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"No weight file at {path}. Give the path of a .safetensors file or a PyTorch state dict.")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    if not isinstance(content, Mapping) or not content or not all(isinstance(name, str) for name in content):
        kind = "an empty mapping" if content == {} else f"a {type(content).__name__}"
        raise WeightsError(f"{path} holds {kind} where named tensors are needed. Save the model's state_dict().")
    return dict(content)


def _read_safetensors(path: Path) -> object:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not a whole safetensors file ({one_line(error)}). Fetch it again.") from error


def check_not_packed(path: Path) -> None:
    """Raises WeightsError where a zip file would unpack to more than it is: torch.save packs nothing."""
    try:
        with zipfile.ZipFile(path) as archive:
            held = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return  # none, or damaged: PyTorch says so
    packed = any(one.compress_type != zipfile.ZIP_STORED for one in held)
    if packed or sum(one.file_size for one in held) > path.stat().st_size:
        raise WeightsError(
            f"{path} is a packed zip file, which PyTorch doesn't write and which may unpack to any size. Save it again "
            "with torch.save(model.state_dict(), FILE)."
        )


def _read_torch(path: Path) -> object:
    check_not_packed(path)
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes that are no pickle make the unpickler fail in any way
        text = str(error)
        refused = re.search(r"GLOBAL (\S+)|TorchScript|\.tar format", text)
        if refused is None:
            # Only the reason: around it PyTorch advises to load the file with weights_only=False, which runs its code.
            reason = text.rpartition("WeightsUnpickler error:")[2].strip().partition("\n")[0]
            raise WeightsError(
                f"{path} is not a whole PyTorch file ({one_line(reason or error)[:200]}). Fetch or save it again."
            ) from error
        raise WeightsError(
            f"{path} is refused: it needs {refused.group(1) or refused.group(0)}, and loading that would let the file "
            "run any code. If you trust it, convert it where it was made: "
            "safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')."
        ) from error


def state_digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of a state dict: names, types, shapes and bytes."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
