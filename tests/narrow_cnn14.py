"""CNN14 with a thirtieth of its weights, for tests of what happens to them: its own parity is held at full width."""

from __future__ import annotations

import torch
from torch import nn

from soundprobe.backbones.panns import ConvBlock

CHANNELS = 128  # from the second block on, of up to 2048: the widest that still has both kinds of convolution


def narrow(network: nn.Module) -> None:
    """Puts blocks of `CHANNELS` channels in the place of the last four of a Panns, with random weights of their own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        for number in range(3, 7):
            setattr(network.cnn, f"conv_block{number}", ConvBlock(CHANNELS, CHANNELS, pool=2 if number < 6 else 1))
        network.cnn.fc1 = nn.Linear(CHANNELS, network.cnn.fc1.out_features)
    network.train(network.training)
