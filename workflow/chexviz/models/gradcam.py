"""Where a model looked: Grad-CAM maps, and the images that get one."""

import math

import pandas as pd
import torch
from torch import Tensor

from chexviz.models.model import TaskBlock, pooled


def is_mapped(rows: pd.DataFrame) -> pd.Series:
    """Whether an image gets a Grad-CAM map: the evaluation images with label 1 do."""
    return (rows["subset"] == "evaluation") & (rows["label"] == 1)


def gradcam(maps: Tensor, task: TaskBlock) -> Tensor:
    """Grad-CAM of a task block's logit (Selvaraju et al. 2017, equations 1 and 2), in closed form.

    maps: (n, C, h, w), the representation block's output, after its last ReLU. Gives (n, h, w),
    not negative: the maps weighted by the pooled gradient of the logit, summed, and cut at zero.

    The task block sees the maps only through their means, so the gradient is the same at every
    place of a channel: that of the pooled feature over the area. The forward pass that scores an
    image and the backward pass of the task block alone are all it takes.
    """
    features = pooled(maps).detach().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(task(features).sum(), features)
    importance = gradient / math.prod(maps.shape[2:])
    return torch.relu(torch.einsum("nc,nchw->nhw", importance, maps))
