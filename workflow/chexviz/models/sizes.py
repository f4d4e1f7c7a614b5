"""The sizes of the models that the paper's text describes. Light, so that the workflow can tell."""

# The paper's 'naive 3-layer CNN': maps after each 3 x 3 convolution.
STANDARD = (32, 64, 128)
# DenseNet121 (Huang et al. 2017): layers of each block; channels of the first maps, that a layer
# adds, and within a layer.
BLOCKS = (6, 12, 24, 16)
START, GROWTH, BOTTLENECK = 64, 32, 4 * 32
DENSENET121 = 1024  # channels of its last maps
# The task block: pooled features to HIDDEN units to one logit, with this share dropped between.
HIDDEN, DROPOUT = 256, 0.3


def facts() -> dict:
    """What the text says about them."""
    return {
        "standard": list(STANDARD),
        "blocks": list(BLOCKS),
        "growth": GROWTH,
        "channels": DENSENET121,
        "hidden": HIDDEN,
        "dropout": DROPOUT,
    }
