"""Who is on the images: sex, age and view in every subset, known and unknown ones counted."""

import pandas as pd

from chexviz.base.tables.sites import LABEL
from chexviz.base.tables.study import SUBSETS
from chexviz.reporting.tables.typesetting import Layout
from chexviz.reporting.titles import finding_title
from chexviz.reporting.wording import capitalised, share

ALL = "all"  # labelled images of a site
NONE = "none"  # labelled images that the split of the dataset leaves out
TITLES = {
    **{"train": "training", "validation": "validation", "evaluation": "evaluation"},
    NONE: "in no subset",
}
UNKNOWN = "unknown"


def labels_of(samples: pd.DataFrame, findings: list[str]) -> pd.DataFrame:
    """The labels of these findings: a column each, 1, 0 or NaN. samples: see SAMPLES."""
    columns = {f"{LABEL}{finding}": finding for finding in findings}
    return samples[[*columns]].rename(columns=columns)


def describe(
    site: str, findings: list[str], samples: pd.DataFrame, splits: dict[str, pd.DataFrame]
) -> list[dict[str, object]]:
    """A row (see PARTICIPANTS) of all labelled images of a site, then one of each subset of each
    protocol.

    findings, samples: of the site, as in its table. splits: of all sites, by protocol.
    """
    labelled = samples[labels_of(samples, findings).notna().any(axis=1)]
    rows = [{"site": site, "protocol": "", "subset": ALL} | counts(labelled, findings)]
    for protocol, split in splits.items():
        own = split[split["site"] == site].set_index("image")["subset"]
        subset = labelled["image"].map(own)
        for name in SUBSETS:
            if (own == name).any():
                keys = {"site": site, "protocol": protocol, "subset": name}
                rows.append(keys | counts(labelled[subset == name], findings))
    return rows


def counts(samples: pd.DataFrame, findings: list[str]) -> dict[str, object]:
    """What is counted of these images. Ages: median and quartiles of images, in years."""
    labels = labels_of(samples, findings)
    known = samples.loc[samples["patient_known"], "patient"]
    sex, view, age = samples["sex"], samples["view"], samples["age"].astype(float)
    low, median, high = age.quantile([0.25, 0.5, 0.75])
    return {
        **{"images": len(samples), "positives": int((labels == 1).any(axis=1).sum())},
        **{"patients": known.nunique(), "patients_unknown": len(samples) - len(known)},
        **{"female": int((sex == "F").sum()), "male": int((sex == "M").sum())},
        "sex_unknown": int((~sex.isin(["F", "M"])).sum()),
        **{"age_median": median, "age_low": low, "age_high": high},
        "age_unknown": int(age.isna().sum()),
        **{"ap": int((view == "AP").sum()), "pa": int((view == "PA").sum())},
        "view_other": int((view.notna() & ~view.isin(["AP", "PA"])).sum()),
        "view_unknown": int(view.isna().sum()),
        **{f"positives_{name}": int((labels[name] == 1).sum()) for name in findings},
        **{f"known_{name}": int(labels[name].notna().sum()) for name in findings},
    }


def joined(rows: list[dict[str, object]]) -> pd.DataFrame:
    """The rows of all sites as one table: counts of findings that a site has not are empty."""
    table = pd.DataFrame(rows)
    counted = [name for name in table if name.startswith(("positives_", "known_"))]
    last = sorted(counted, key=lambda name: name.startswith("known_"))
    order = [*table.columns.drop(counted), *last]
    return table[order].astype(dict.fromkeys(counted, "Int64"))


def layout(table: pd.DataFrame, titles: dict[str, str]) -> Layout:
    """The table as readers see it: a group a site, a row a subset. titles: of the sites."""
    groups = {
        titles[site]: [cells(one) for one in rows.to_dict("records")]
        for site, rows in table.groupby("site", sort=False)
    }
    return Layout(
        head=["Subset", "Images", "Positive", "Patients", "Female", "Age (years)", "AP view"],
        groups=groups,
        caption="Characteristics of the labelled images in every subset.",
        note="Counts of images, with the share of those whose tag is known; a patient with several "
        "images counts with each. Age: median (quartiles) of images. The rest of the known sexes "
        "is male, of the known views PA unless another is named. Unknown: the file has no such "
        "tag, or the source does not say who is on the image. Race, ethnicity, symptoms and other "
        "diagnoses: unknown, no site has them.",
    )


def findings_layout(table: pd.DataFrame, sites: list[dict]) -> Layout:
    """How many images show each finding: a group a site, a row a finding, a column a subset.

    table: see PARTICIPANTS. sites: see titles.
    """
    subsets = table[["protocol", "subset"]].drop_duplicates().itertuples(index=False, name=None)
    columns = {subset: subset_title(*subset) for subset in subsets}
    groups = {}
    for site in sites:
        own = table[table["site"] == site["name"]].set_index(["protocol", "subset"])
        rows = own.to_dict("index")
        groups[site["title"]] = [
            [capitalised(finding_title(name)), *(found(rows.get(one), name) for one in columns)]
            for name in site["findings"]
        ]
    return Layout(
        head=["Finding", *columns.values()],
        groups=groups,
        caption="Images with each finding in every subset.",
        note="Positive images of those whose label of the finding is known.",
    )


def found(one: dict | None, finding: str) -> str:
    """'45 of 180'; '–' where the site has no such subset."""
    return f"{one[f'positives_{finding}']:,.0f} of {one[f'known_{finding}']:,.0f}" if one else "–"


def subset_title(protocol: str, subset: str) -> str:
    """'All', or 'paper: training'."""
    return "All" if subset == ALL else f"{protocol}: {TITLES[subset]}"


def cells(one: dict) -> list[str]:
    """The row of a subset."""
    images = one["images"]
    others = {"other": one["view_other"], UNKNOWN: one["view_unknown"]}
    of_sex, of_view = (images - one[f"{tag}_unknown"] for tag in ("sex", "view"))
    age = f"{one['age_median']:.0f} ({one['age_low']:.0f}–{one['age_high']:.0f})"
    return [
        subset_title(one["protocol"], one["subset"]),
        f"{images:,}",
        count_of(one["positives"], images),
        known(f"{one['patients']:,}", images, {"images unknown": one["patients_unknown"]}),
        known(count_of(one["female"], of_sex), images, {UNKNOWN: one["sex_unknown"]}),
        known(age, images, {UNKNOWN: one["age_unknown"]}),
        known(count_of(one["ap"], of_view), images, others),
    ]


def count_of(count: int, whole: int) -> str:
    """'12 (30 %)'; of nothing only the count."""
    return f"{count:,} ({share(count, whole, 0)})" if whole else f"{count:,}"


def known(text: str, images: int, others: dict[str, int]) -> str:
    """The text and, in a second line, how many images it leaves out; 'unknown' if it has none.

    others: how many, by why; the last are those whose tag is unknown.
    """
    if list(others.values())[-1] == images:
        return UNKNOWN
    left = ", ".join(f"{count:,} {why}" for why, count in others.items() if count)
    return f"{text}\n{left}" if left else text
