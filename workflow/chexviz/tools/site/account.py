"""What a prepared site has, in a few lines: images, what was rejected, and what its audit found."""

from collections.abc import Sequence

from chexviz.base.tables.sites import CONTRACT, REJECTED
from chexviz.base.tables.study import LEAKAGE, SPLIT, SUBSETS
from chexviz.tools.site.prepared import Home


def account(home: Home, protocols: Sequence[str]) -> str:
    """The lines. home: of a site that the workflow has just made ready."""
    rejected = REJECTED.read(home.folder / "rejected.csv", "file")
    contract = CONTRACT.read(home.folder / "contract.csv", "check", "verdict")
    differing = contract.loc[contract["verdict"] == "differs", "check"]
    lines = [
        f"site {home.about.name} is ready in {home.results}:",
        f"  rejected: {len(rejected)} files ({home.folder / 'rejected.csv'})",
        f"  contract: {', '.join(differing) or 'nothing'} differs ({home.folder / 'contract.csv'})",
    ]
    for protocol in protocols:
        subsets = SPLIT.read(home.splits()[protocol], "subset")["subset"].value_counts()
        counts = ", ".join(f"{subsets[one]} {one}" for one in SUBSETS if one in subsets)
        lines.append(f"  protocol {protocol}: {counts} images; {leak(home, protocol)}")
    return "\n".join(lines)


def leak(home: Home, protocol: str) -> str:
    """How many images that evaluate share something with others that train, here alone."""
    path = home.results / "audit" / f"{protocol}.csv"
    audit = LEAKAGE.read(path, "scope", "shared", "evaluation_images", "affected_images")
    row = audit[(audit["scope"] == "within") & (audit["shared"] == "any")].iloc[0]
    return (
        f"{row['affected_images']} of {row['evaluation_images']} that evaluate share a patient or "
        f"an image with training ({path})"
    )
