"""The tables of what leaks: attacks on what sites send, and on the models that come of it."""

from chexviz.base.tables.table import Table, bounds, note, number, text, whole

ATTACKED = {"architecture": text(), "method": text(), "seed": whole("of the training")}
# What an attacker sees, from the most to what a site really sends.
SCENARIOS = {
    "image_all": "gradient of one image, of all blocks",
    "image": "gradient of one image, of what is exchanged",
    "batch": "gradient of a batch, of what is exchanged",
    "round": "update of a round, as the site sends it",
}
INVERSION = Table(
    "inversion.csv",
    "a row for each thing that a curious server could see of a site: how well images are "
    "reconstructed from it, beside images that took no part (control)",
    **ATTACKED,
    site=text("which is attacked"),
    scenario=text("; ".join(f"{name}: {title}" for name, title in SCENARIOS.items())),
    together=whole("images that are reconstructed at once"),
    images=whole("of as many patients"),
    seeds=whole("reconstructions of each"),
    **bounds("psnr", "dB, between an image and the reconstruction that is nearest to it"),
    **bounds("psnr_control", "of an image of another patient, which took no part"),
    **bounds("psnr_leak", "the difference: what the gradient gave away"),
    **bounds("ssim", "structural similarity, as the next two"),
    **bounds("ssim_control"),
    **bounds("ssim_leak"),
    **bounds("first", "share of reconstructions that correlate most with the right image"),
    candidates=whole("among so many images: it, and some of the site that took no part"),
    chance=number("of `first`: 1 / candidates"),
    note=note(),
)
COMPARISONS = {
    "attack": "patients who trained the model against patients who did not",
    "control": "the same patients, of models that all of them trained: 0.5 unless the two kinds "
    "of patients differ by themselves",
}
MEMBERSHIP = Table(
    "membership.csv",
    "a row for each comparison and measure: whether a model tells who trained it",
    **ATTACKED,
    comparison=text("; ".join(f"{name}: {title}" for name, title in COMPARISONS.items())),
    shadows=whole("models that the attacker trained"),
    members=whole("patients, as the next"),
    others=whole(),
    measure=text("auroc, or tpr: share of members that are found"),
    fpr=number("false positive rate of the latter, at most; empty: of auroc"),
    **bounds("value"),
    note=note(),
)
MEMBERSHIP_ROC = Table(
    "membership_roc.csv",
    "a row for each point of the attack's curve and of its control's",
    **ATTACKED,
    comparison=text(),
    fpr=number(),
    tpr=number(),
)
LEAKS = Table(
    "leaks.csv",
    "a row for each model that is attacked: what attacks on updates and models got",
    **ATTACKED,
    images=whole("that are reconstructed, of as many patients"),
    **{
        name: column
        for scenario, title in SCENARIOS.items()
        for name, column in bounds(scenario, f"psnr_leak, dB, {title}").items()
    },
    **bounds("first", "share of reconstructions of `round` that correlate most with the right one"),
    chance=number("of `first`"),
    members=whole("patients who trained the model"),
    others=whole("patients who did not"),
    **bounds("membership", "AUROC of the attack"),
    **bounds("control", "AUROC of its control"),
    fpr=number("the largest false positive rate"),
    **bounds("found", "share of members that are found at it"),
    mark=note(),
)
HASHES = Table(
    "hashes.csv",
    "a row for each site, attack on its perceptual hashes by one that has the other sites' "
    "radiographs, and measure (docs/privacy.md)",
    site=text(),
    attack=text(
        "order: which scrambled bit is which; picture: a radiograph drawn from its unscrambled hash"
    ),
    measure=text(
        "bits: of 64 in their place, by chance 1; correlation: of the picture with the radiograph, "
        "both less the mean radiograph; control: with those of other patients; first: share of "
        "radiographs that are the most alike of all of the site"
    ),
    value=number(),
    low=number(),
    high=number("of order the range over secrets, else the interval"),
    images=whole("looked at"),
    patients=whole(),
    note=note(),
)
