"""Where a model looked: Grad-CAM maps, and the images that get one."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from chexviz.models.model import pooled


def gradcam(maps: Tensor, logit: Callable[[Tensor], Tensor]) -> Tensor:
    """Grad-CAM of a logit (Selvaraju et al. 2017, equations 1 and 2), in closed form.

    logit: pooled features (n, C) to the logit (n,) of a finding, by task blocks alone. maps: (n, C,
    h, w), the representation block's output, after its last ReLU. Gives (n, h, w), not negative:
    the maps weighted by the pooled gradient of the logit, summed, and cut at zero.

    Task blocks see the maps only through their means, so the gradient is the same at every
    place of a channel: that of the pooled feature over the area. The forward pass that scores an
    image and the backward pass of the task blocks alone are all it takes.
    """
    features = pooled(maps).detach().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(logit(features).sum(), features)
    importance = gradient / math.prod(maps.shape[2:])
    return torch.relu(torch.einsum("nc,nchw->nhw", importance, maps))
