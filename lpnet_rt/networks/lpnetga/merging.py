"""The patch net for inference: branches that read the same map are merged, so that no convolution has one channel.

Once batch norm is folded, parallel convolutions equal one convolution with more outputs. A convolution from one channel
to one costs nearly as much as one from 32 to 32, and the published patch net ends in three of them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lpnet_rt.errors import SettingsError
from lpnet_rt.networks.lpnetga.network import LocalView, Norm, ResBlock

__all__ = ["MergedLocalView", "merge_local_view"]


class MergedLocalView(nn.Module):
    """The folded patch net with merged branches: (B, 8, H, W) gated features -> (B, 1, H, W) scores.

    The last residual block has one channel and a shortcut s, which must not be clipped at 0 before it is added. Here s
    is carried as relu(s) and relu(-s), which the block's ReLUs leave unchanged, in two extra channels.
    """

    def __init__(self, local: LocalView) -> None:
        super().__init__()
        net = local.patch_net
        scales = [branch.conv for branch in (local.conv_k1, local.conv_k3, local.conv_k5)]
        self.scales = _convolution([_centred(conv, 5) for conv in scales], [_bias(conv) for conv in scales])
        self.deconv = net.deconv
        self.block1 = net.block1
        self.block2 = net.block2
        self.enter, self.pass_through, self.leave = _merged_tail(net.block3)
        self.register_buffer("gain", _weight(net.classifier).reshape(()).clone())
        self.register_buffer("offset", _bias(net.classifier).reshape(()).clone())
        self.gain: Tensor
        self.offset: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """(B, 8, H, W) -> (B, 1, H, W) in 0..1."""
        return self.decide(functional.relu(self.scales(x)))

    def scale(self, x: Tensor) -> Tensor:
        """Only the first step, without padding: (B, 8, H + 4, W + 4) -> (B, 12, H, W)."""
        return functional.relu(functional.conv2d(x, self.scales.weight, self.scales.bias))

    def decide(self, x: Tensor) -> Tensor:
        """The rest: (B, 12, H, W) -> (B, 1, H, W) in 0..1."""
        x = self.block2(self.block1(self.deconv(x)))  # (B, 32, 2H, 2W)
        x = functional.relu(self.enter(x))  # (B, 3, 2H, 2W): the block's own channel, relu(s), relu(-s)
        x = functional.relu(self.pass_through(x))
        x = functional.relu(self.leave(x))  # (B, 1, 2H, 2W)
        return torch.sigmoid(functional.max_pool2d(x, 2) * self.gain + self.offset)


def merge_local_view(local: LocalView) -> MergedLocalView:
    """Merge the branches of a folded patch net; the scores are the same.

    Args:
        local: ``fold_batch_norm(model).lfe``; its inner layers are shared, not copied.

    Raises:
        SettingsError: Its batch norm is not folded.
    """
    if any(isinstance(module, Norm) for module in local.modules()):
        raise SettingsError(
            "merge_local_view: expected a folded patch net, found batch norm; call fold_batch_norm first"
        )
    return MergedLocalView(local).eval().requires_grad_(False)


def _merged_tail(block: ResBlock) -> tuple[nn.Conv2d, nn.Conv2d, nn.Conv2d]:
    """Return the block's first convolution with its shortcut, its second, and its third with the sum of both."""
    shortcut, shortcut_bias = _weight(block.identity), _bias(block.identity)
    enter = _convolution(
        [_centred(block.conv1, 3), shortcut, -shortcut], [_bias(block.conv1), shortcut_bias, -shortcut_bias]
    )
    middle = _weight(block.conv2).new_zeros(3, 3, 3, 3)
    middle[0, 0] = _weight(block.conv2)[0, 0]
    middle[1, 1, 1, 1] = middle[2, 2, 1, 1] = 1.0
    nothing = middle.new_zeros(2)
    pass_through = _convolution([middle], [_bias(block.conv2), nothing])
    last = _weight(block.conv3).reshape(1)
    leave = _convolution([torch.cat((last, last.new_tensor([1.0, -1.0]))).view(1, 3, 1, 1)], [_bias(block.conv3)])
    return enter, pass_through, leave


def _convolution(weights: list[Tensor], biases: list[Tensor]) -> nn.Conv2d:
    """Concatenate convolutions over the same input into one that keeps the size."""
    weight, bias = torch.cat(weights), torch.cat(biases)
    outputs, inputs, kernel = weight.shape[:3]
    merged = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2).to(weight)
    merged.load_state_dict({"weight": weight, "bias": bias})
    return merged


def _centred(convolution: nn.Module, kernel: int) -> Tensor:
    """Return the convolution's weights, zero-padded to ``kernel`` x ``kernel``."""
    weight = _weight(convolution)
    border = (kernel - weight.shape[2]) // 2
    return functional.pad(weight, (border, border, border, border))


def _weight(convolution: nn.Module) -> Tensor:
    return convolution.get_parameter("weight").detach()


def _bias(convolution: nn.Module) -> Tensor:
    return convolution.get_parameter("bias").detach()
