"""Where checks may put tensors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

__all__ = ["device_of"]

_ACCELERATORS: Final = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")
"""Without one of these Linux has no accelerator that torch could use."""


def device_of(device: str) -> str:
    """``device``, or the best one of this machine for "auto"."""
    if device != "auto":
        return device
    if sys.platform == "linux" and not any(Path(path).exists() for path in _ACCELERATORS):
        return "cpu"  # without asking torch, which takes seconds to import
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
