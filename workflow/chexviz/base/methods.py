"""Methods that are no federation, and what every method is unless its config says otherwise."""

BASELINE = "baseline"  # a model for each site, trained on its images alone
POOLED = "pooled"  # one model, trained on the images of all sites in one place
ENSEMBLE = "ensemble"  # all baselines together
DEFAULTS = {
    **{"weights": "size", "batchnorm": "average", "heads": "private"},
    **{"combine": "mean", "trim": 0.0},
}
