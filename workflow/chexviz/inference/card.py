"""The model card of a bundle, in Markdown and HTML: whose data, how good, where not to trust it.

Every number is read from a table of the results (Mitchell et al. 2019).
"""

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from chexviz.base.methods import BASELINE
from chexviz.base.tables.evaluation import ALL, SUBGROUPS, read_metrics
from chexviz.base.tables.models import MEAN, SHARED
from chexviz.base.tables.study import LEAKAGE, PARTICIPANTS
from chexviz.inference.bundle import RESEARCH, Bundle, Finding, Tested
from chexviz.reporting.tables import characteristics
from chexviz.reporting.tables.typesetting import Layout, escape_markdown, to_markdown
from chexviz.reporting.titles import (
    architecture_title,
    endpoint_places,
    finding_title,
    head_titles,
    method_title,
    place_titles,
)
from chexviz.reporting.wording import bracketed, capitalised, fixed, listed, power, tally

PROTOCOLS = {
    "paper": "A random share of each site's images evaluates, as in the original study. Images of "
    "a patient may both train and evaluate, and there are no validation images: what is measured "
    "here is too good.",
    "patient": "No patient and no near-identical image is in two of training, validation and "
    "evaluation, within a site or across sites.",
}
BRACKETS = "In brackets: 95 % intervals over patients; of too few cases the value alone."
SHOWN = {
    "auroc": "AUROC",
    "aupr": "AUPR",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
}
LIMITS = (
    "It has learnt the labels of its sites, with their errors, for the findings above and no "
    "others: a radiograph without them may show anything else.",
    "A probability holds where the finding is as frequent as among the validation images. "
    "Elsewhere it is too high or too low, and so is every operating point: measure both on images "
    "of your own first. A score of 0.5 is no threshold.",
    "It was trained on frontal radiographs. What it says of lateral views, children, other parts "
    "of the body and pictures of screens means nothing; the words that chexviz predict adds are "
    "a help, no safeguard.",
    "A heat map shows which places of an image raise a score (Grad-CAM), not where a disease is, "
    "and each is scaled to its own maximum.",
    "Groups that are few among the images above, or unknown, have not been evaluated.",
)
NOISE = {
    "seed": "Its noise was drawn from the seed of the run, so that the training can be repeated: "
    "against those who know the seed and most of the images it promises nothing.",
    "secret": "Its noise was drawn from a secret of whoever added it.",
}
PRIVATE = {  # by whose privacy it is: what was done, and what that bounds
    "patient": (
        "Each site that trained it did so with differential privacy for every patient: all images "
        "of a patient, and images nearly identical to them, together have spent an epsilon of at "
        "most {epsilon} at a delta of {delta}, at the site where that is largest.",
        "It bounds how much better anyone can tell from the model, and from all that the site "
        "sent, whether a patient took part. A patient of two sites spends the epsilon of both.",
    ),
    "site": (
        "The federation trained it with differential privacy for every site: all that a site sent "
        "has spent an epsilon of at most {epsilon} at a delta of {delta}.",
        "It bounds how much better anyone can tell from the model whether a site trained. Of a "
        "single patient it bounds less, as a patient turns one step of a site into another, up to "
        "twice as far away; and nothing of what the server saw, which was without noise.",
    ),
}
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
.mark { background: #b3261e; color: #fff; padding: .5rem 1rem; font-weight: bold; }
.research { border-left: .3rem solid #b3261e; padding-left: .7rem; font-weight: bold; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #8884; }
th:first-child, td:first-child { text-align: left; }
tbody th { font-style: italic; font-weight: normal; text-align: left; padding-top: .7rem; }
td, li { overflow-wrap: anywhere; }
.note { font-size: .85rem; opacity: .8; }
"""


class Tables(NamedTuple):
    """What the card is written from, of one protocol: see base.tables."""

    metrics: pd.DataFrame
    subgroups: pd.DataFrame
    participants: pd.DataFrame
    audit: pd.DataFrame


class Card(NamedTuple):
    """The same card as two texts."""

    markdown: str
    html: str


Block = str | list[str] | Layout  # a paragraph, a list, a table


class Section(NamedTuple):
    """A heading, and what stands below it."""

    title: str
    blocks: list[Block]


def read(metrics: Path, subgroups: Path, participants: Path, audit: Path) -> Tables:
    """The tables of the files. Raises InputError."""
    return Tables(
        read_metrics(metrics),
        SUBGROUPS.read(subgroups),
        PARTICIPANTS.read(participants),
        LEAKAGE.read(audit),
    )


def write(bundle: Bundle, tables: Tables, sites: list[dict], spent: Mapping | None = None) -> Card:
    """The card of a bundle. sites: see reporting.titles. spent: see `privacy`; None: without."""
    sections = [*written(bundle, tables, sites)]
    if spent:
        sections.insert(-2, Section("Differential privacy", privacy(spent)))
    title = f"Model card: {model_title(bundle)}"
    return Card(markdown(title, bundle.mark, sections), page(title, bundle.mark, sections))


def model_title(bundle: Bundle) -> str:
    """What readers call the model: 'DenseNet121, FedAvg', 'Standard, baseline of RSNA'."""
    method = method_title(bundle.method)
    if bundle.method == BASELINE:
        method = f"baseline of {listed(one.title for one in bundle.sites if one.trains)}"
    return f"{architecture_title(bundle.architecture)}, {method}"


# --- what it says --------------------------------------------------------------------------------


def written(bundle: Bundle, tables: Tables, sites: list[dict]) -> Iterator[Section]:
    """The sections of a card, those that have something to say."""
    yield Section("What it is", what(bundle, head_titles(sites)))
    yield Section("Data", data(bundle, tables.participants, sites))
    yield Section("Split", split(bundle, tables.audit, sites))
    roles = {site["name"]: site["role"] for site in sites}
    own = of_model(tables.metrics, bundle, sites)
    groups = groups_of(tables, bundle, sites)
    for role, title, note in (
        (
            "train",
            "How good it is",
            "Evaluation images of the sites that trained it, each by its own head.",
        ),
        ("external", "External test", "All images of sites that trained nothing."),
    ):
        rows = own[own["site"].map(roles) == role]
        if len(rows):
            yield Section(title, [measured(rows, sites, note)])
    if "external" not in roles.values():
        yield Section("External test", ["None: no site of the study was left out of training."])
    yield Section("Groups of images", by_group(groups, sites))
    yield Section("Operating points and calibration", learned(bundle.findings))
    yield Section("Limits", [RESEARCH, [*LIMITS]])
    yield Section("Made of", [made(bundle)])


def what(bundle: Bundle, heads: Mapping[str, str]) -> list[Block]:
    """The model, its findings and its input. heads: what readers call them."""
    known = [f"{finding_title(one.name)}: {said_by(one, heads)}" for one in bundle.findings]
    size = bundle.preprocessing.size
    fit = "padded to a square" if bundle.preprocessing.fit == "pad" else "cut to a square"
    how = (
        "one site has trained alone"
        if bundle.method == BASELINE
        else ("several sites have trained together")
    )
    return [
        f"A network ({architecture_title(bundle.architecture)}) that {how} "
        f"({method_title(bundle.method)}, seed {bundle.seed}), for research on what "
        "federated training does. A frontal chest radiograph, "
        f"{fit}, goes in as {size} x {size} pixels; a score between 0 and 1 comes out for each "
        "finding, and a map of the places that raise it.",
        known,
    ]


def said_by(finding: Finding, heads: Mapping[str, str]) -> str:
    """Whose head knows a finding."""
    if finding.answer == SHARED:
        return "one head of all sites that label it"
    names = listed(heads[head] for head in finding.heads)
    return f"the mean of the heads of {names}" if finding.answer == MEAN else f"the head of {names}"


def data(bundle: Bundle, participants: pd.DataFrame, sites: list[dict]) -> list[Block]:
    """Whose images they are, and who is on them."""
    places = [
        f"{site['title']}: {listed(map(finding_title, site['findings']))}; "
        + ("trained the model" if site["role"] == "train" else "trained nothing, evaluates only")
        for site in sites
    ]
    rows = participants[participants["protocol"].isin(["", bundle.protocol])]
    rows = rows[rows["site"].isin([site["name"] for site in sites])]
    layout = characteristics.layout(rows, place_titles(sites))
    return [places, layout._replace(group_head="Site")]


def split(bundle: Bundle, audit: pd.DataFrame, sites: list[dict]) -> list[Block]:
    """How the images were divided, and what evaluation shares with training nevertheless."""
    shared = audit[(audit["scope"] == "any") & (audit["shared"] == "any")].set_index("site")
    lines = []
    for site in sites:
        if site["name"] in shared.index:
            row = shared.loc[site["name"]]
            count = f"{row['affected_images']:,} of {row['evaluation_images']:,}"
            lines.append(f"{site['title']}: {count} evaluation images")
    leaking = (
        "Sharing a patient, a near-identical image or a file with images that do not evaluate:"
    )
    return [f"{bundle.protocol}: {PROTOCOLS[bundle.protocol]}", leaking, lines]


def of_model(table: pd.DataFrame, bundle: Bundle, sites: list[dict]) -> pd.DataFrame:
    """The rows of the bundle's model: at an external site, where every head has some, its answer's.

    At a site that trained, they are of that site's own head.
    """
    mine = (table["architecture"] == bundle.architecture) & (table["method"] == bundle.method)
    rows = table[mine & (table["seed"] == bundle.seed)]
    rows = rows[rows["site"].isin([site["name"] for site in sites])]
    external = [site["name"] for site in sites if site["role"] == "external"]
    answers = {one.name: one.answer for one in bundle.findings}
    return rows[~rows["site"].isin(external) | (rows["head"] == rows["finding"].map(answers))]


def groups_of(tables: Tables, bundle: Bundle, sites: list[dict]) -> pd.DataFrame:
    """The rows of AUROC by view, sex and age of the bundle's model, of groups that have images."""
    groups = tables.subgroups[tables.subgroups["measure"] == "auroc"]
    groups = groups[(groups["attribute"] != ALL) & (groups["images"] > 0)]
    return of_model(groups, bundle, sites)


def tested(bundle: Bundle, tables: Tables, sites: list[dict]) -> list[Tested]:
    """The same numbers as the card's for programs: all images of a site, then its groups."""
    titles = {site["name"]: site["title"] for site in sites}
    whole = of_model(tables.metrics, bundle, sites).assign(attribute=ALL, group=ALL)
    groups = groups_of(tables, bundle, sites)
    groups = groups.rename(columns={"value": "auroc", "low": "auroc_low", "high": "auroc_high"})
    return [
        Tested(
            site=titles[row["site"]],
            finding=row["finding"],
            attribute=row["attribute"],
            group=row["group"],
            images=int(row["images"]),
            positives=int(row["positives"]),
            measures={name: with_bounds(row, name) for name in SHOWN if name in row},
        )
        for table in (whole, groups)
        for row in table.to_dict("records")
    ]


def with_bounds(row: dict, name: str) -> tuple[float | None, float | None, float | None]:
    """A measure and its interval; None is not known."""
    value, low, high = (float(row[f"{name}{end}"]) for end in ("", "_low", "_high"))
    return known(value), known(low), known(high)


def known(value: float) -> float | None:
    """A number; None if it is none."""
    return None if math.isnan(value) else value


def measured(rows: pd.DataFrame, sites: list[dict], note: str) -> Layout:
    """Metrics with their intervals: a group an endpoint."""
    names = endpoint_places(sites)
    return Layout(
        head=["Images", "Positive", "Threshold", *SHOWN.values()],
        groups={
            capitalised(names[row["site"], row["finding"]]): [
                [
                    f"{row['images']:,}",
                    f"{row['positives']:,}",
                    fixed(row["threshold"]),
                    *(
                        bracketed(row[name], row[f"{name}_low"], row[f"{name}_high"])
                        for name in SHOWN
                    ),
                ]
            ]
            for row in rows.to_dict("records")
        },
        caption="",
        note=f"{note} {BRACKETS}",
        group_head="Site and finding",
    )


def by_group(rows: pd.DataFrame, sites: list[dict]) -> list[Block]:
    """AUROC by view, sex and age: a group an endpoint."""
    names = endpoint_places(sites)
    if rows.empty:
        return ["Not evaluated."]
    groups: dict[str, list[list[str]]] = {}
    for row in rows.to_dict("records"):
        title = capitalised(names[row["site"], row["finding"]])
        auroc = bracketed(row["value"], row["low"], row["high"])
        group = f"{row['attribute']} {row['group']}"
        cells = [group, f"{row['images']:,}", f"{row['positives']:,}", auroc]
        groups.setdefault(title, []).append(cells)
    layout = Layout(
        head=["Group", "Images", "Positive", "AUROC"],
        groups=groups,
        caption="",
        note=f"{BRACKETS} Unknown: the file has no such tag.",
        group_head="Site and finding",
    )
    return [layout]


def learned(findings: Sequence[Finding]) -> list[Block]:
    """What validation images have taught, and of what there is nothing."""
    lines = []
    for finding in findings:
        known, title = finding.learned, capitalised(finding_title(finding.name))
        points = [f"{point.name} at a score of {point.threshold:.4g}" for point in known.points]
        said = [f"operating points {listed(points)}" if points else "no operating point"]
        said.append(
            f"calibrated by a temperature of {known.temperature:.3g}"
            if known.temperature
            else "no calibration: a score is no probability"
        )
        whose = f"{tally(known.images, 'validation image')}, {known.positives:,} positive"
        why = f" ({known.note})" if known.note else ""
        lines.append(f"{title}: {'; '.join(said)}. From {whose}{why}.")
    return [
        "A score that reaches an operating point is called positive. Youden's (youden) has the "
        "largest sum of sensitivity and specificity on the validation images, sensitivity-0.9 "
        "finds 90 % of their positive ones. Nothing was chosen on evaluation images.",
        lines,
    ]


def privacy(spent: Mapping) -> list[Block]:
    """What differential privacy promises of the model, and what it does not.

    spent: unit, epsilon, delta and noise, as the header of the model says them (Server.privacy).
    """
    done, bounds = PRIVATE[spent["unit"]]
    return [
        done.format(epsilon=fixed(spent["epsilon"], 2), delta=power(spent["delta"])),
        [
            bounds,
            NOISE[spent["noise"]],
            "It covers the weights. Thresholds, calibration and every number of this card come "
            "from images that are not protected by it.",
        ],
    ]


def made(bundle: Bundle) -> list[str]:
    """Hashes and versions."""
    hashes = [f"{name}: SHA-256 {value}" for name, value in sorted(bundle.made_from.items())]
    return [*hashes, *(f"{name} {value}" for name, value in bundle.made_with.items())]


# --- how it is written ---------------------------------------------------------------------------


def markdown(title: str, mark: str, sections: Sequence[Section]) -> str:
    """A card for GitHub and plain readers."""
    lines = [f"# {escape_markdown(title)}", ""]
    lines += [f"**{escape_markdown(mark)}**", ""] if mark else []
    lines += [f"**{RESEARCH}**", ""]
    for section in sections:
        lines += [f"## {section.title}", ""]
        for block in section.blocks:
            if isinstance(block, Layout):
                lines.append(to_markdown(block, ""))
            elif isinstance(block, list):
                lines += [*(f"- {escape_markdown(item)}" for item in block), ""]
            else:
                lines += [escape_markdown(block), ""]
    return "\n".join(lines).rstrip() + "\n"


def page(title: str, mark: str, sections: Sequence[Section]) -> str:
    """A card as one page, which needs nothing from elsewhere."""
    lines = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>",
        *([f'<p class="mark">{html.escape(mark)}</p>'] if mark else []),
        f"<h1>{html.escape(title)}</h1>",
        f'<p class="research">{RESEARCH}</p>',
    ]
    for section in sections:
        lines.append(f"<h2>{html.escape(section.title)}</h2>")
        lines += [as_html(block) for block in section.blocks]
    return "\n".join([*lines, "</body></html>", ""])


def as_html(block: Block) -> str:
    """A block of a section."""
    if isinstance(block, Layout):
        return table_html(block)
    if isinstance(block, list):
        return f"<ul>{''.join(f'<li>{html.escape(item)}</li>' for item in block)}</ul>"
    return f"<p>{html.escape(block)}</p>"


def table_html(layout: Layout) -> str:
    """A table of a page, with its note below."""
    width = len(layout.head)
    rows = [f"<tr>{''.join(f'<th>{html.escape(one)}</th>' for one in layout.head)}</tr>"]
    body = []
    for group, lines in layout.groups.items():
        body.append(f'<tr><th colspan="{width}">{html.escape(group)}</th></tr>')
        for line in lines:
            cells = (html.escape(cell).replace("\n", "<br>") for cell in line)
            body.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    note = f'<p class="note">{html.escape(layout.note)}</p>'
    head = f"<thead>{''.join(rows)}</thead><tbody>{''.join(body)}</tbody>"
    return f'<div class="wide"><table>{head}</table></div>{note}'
