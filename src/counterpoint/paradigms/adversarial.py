"""Learning against an opponent: hinge losses, feature matching, and a balance of losses by their gradients.

A judge's answer is a list of logits, one tensor per sub-discriminator, and per sub-discriminator a list of features; neither
audio nor networks are known here.  After Defossez et al. 2022 ("High Fidelity Neural Audio Compression"), section 3.4.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from counterpoint import parallel

_EPSILON = 1e-12


def discriminator_loss(real: Sequence[Tensor], made: Sequence[Tensor]) -> Float[Tensor, ""]:
    """Hinge: what is real shall be judged above 1, what is made below -1 (Lim and Ye 2017, eq. 6)."""
    losses = [(1 - r).clamp_min(0).mean() + (1 + m).clamp_min(0).mean() for r, m in zip(real, made, strict=True)]
    return torch.stack(losses).mean()


def generator_loss(made: Sequence[Tensor]) -> Float[Tensor, ""]:
    """What is made shall be judged high.  Not cut off at 1, unlike the paper's eq. 2; so the reference trains."""
    return -torch.stack([logits.mean() for logits in made]).mean()


def feature_matching(real: Sequence[Sequence[Tensor]], made: Sequence[Sequence[Tensor]]) -> Float[Tensor, ""]:
    """Mean absolute difference of what the judges' layers see, averaged over layers, then over judges.

    Not relative to the real features' magnitude, unlike the paper's eq. 3: under a balance the scale is irrelevant, and the
    weights of a plain sum, as the VAE's, are meant for differences as they are.
    """
    judges = [
        torch.stack([(m - r.detach()).abs().mean() for r, m in zip(seen, ours, strict=True)]).mean()
        for seen, ours in zip(real, made, strict=True)
    ]
    return torch.stack(judges).mean()


class Balancer(nn.Module):
    """Gives every loss its share of the gradient that reaches what was made, whatever the loss's own scale (section 3.4).

    Each loss's gradient is divided by the running mean of its norm and multiplied by its share of the weights.
    The means are buffers, so that they are saved and resumed with all else; several processes average over all their items.
    """

    total: Tensor
    mass: Tensor

    def __init__(self, weights: Mapping[str, float], decay: float = 0.999):
        super().__init__()
        self.weights = dict(weights)
        self.decay = decay
        self.register_buffer("total", torch.zeros(len(weights)))
        self.register_buffer("mass", torch.zeros(len(weights)))

    def gradient(self, losses: Mapping[str, Tensor], made: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """What to send back through `made` for these losses, which are some or all of the weights' names.

        The losses' graphs are kept.  An item's gradient has a norm near 1, however many items there are.
        """
        gradients = [torch.autograd.grad(loss, made, retain_graph=True)[0] for loss in losses.values()]
        norms = torch.stack([gradient.flatten(1).norm(dim=1).mean() for gradient in gradients])
        usual = self._usual([list(self.weights).index(name) for name in losses], norms)
        weights = usual.new_tensor([self.weights[name] for name in losses])
        scales = weights / weights.sum() / (usual + _EPSILON)
        return torch.stack([scale * gradient for scale, gradient in zip(scales, gradients, strict=True)]).sum(0)

    @torch.no_grad()
    def _usual(self, places: list[int], norms: Tensor) -> Tensor:
        """The running means of the norms at `places`, without the bias of their start at zero (Kingma and Ba 2015).

        A norm that is not finite leaves no trace in them: the loop refuses that step and goes on.
        """
        counted = torch.cat([norms, norms.new_ones(1)])
        parallel.sum_over_all([counted])
        mean = counted[:-1] / counted[-1]
        sound = mean.isfinite()
        self.total[places] = torch.where(sound, self.decay * self.total[places] + mean, self.total[places])
        self.mass[places] = torch.where(sound, self.decay * self.mass[places] + 1, self.mass[places])
        return self.total[places] / self.mass[places]
