"""Whether this PyTorch was built with oneDNN for a processor that its packed layouts are for."""

from __future__ import annotations

import platform

import torch

HAS_ONEDNN = torch.backends.mkldnn.is_available() and platform.machine() in ("x86_64", "AMD64")
NO_ONEDNN = "PyTorch has oneDNN on x86 only, as CI's machine is; elsewhere matrices stay plain, which is tested too"
