"""A federation's predictions and samples with known structure: sites, heads, tags, labels."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from chexviz.base.tables.sites import SAMPLES
from chexviz.evaluation import shortcuts, subgroups

SETTINGS = {
    "bootstrap": {"replicates": 200, "unit": "patient", "confidence": 0.95, "seed": 2022},
    "minimum_cases": 10,
}
TASKS = {"north": "pneumonia", "south": "pneumothorax"}


def draw_site(seed: int, images: int = 300) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Images of a site, two of each patient: image, patient, label, subset; and their samples."""
    draws = np.random.default_rng(seed)
    number = np.arange(images)
    label = (draws.random(images // 2) < 0.3).repeat(2).astype(int)
    names = [f"{one:05d}" for one in number]
    rows = pd.DataFrame({"image": names, "label": label, "subset": "evaluation"})
    rows.insert(1, "patient", [f"p{one // 2:04d}" for one in number])
    portable = draws.random(images) < np.where(label, 0.7, 0.3)
    samples = pd.DataFrame(
        {
            "image": names,
            "view": np.where(portable, "AP", "PA"),
            "sex": draws.choice(["F", "M"], images // 2).repeat(2),
            "age": draws.integers(20, 80, images // 2).repeat(2).astype(float),
        }
    )
    return rows, samples


def draw_scores(labels: np.ndarray, seed: int, skill: float = 1.5) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(skill * labels - 1)
    return 1 / (1 + np.exp(-logits))


def columns_of(table: pd.DataFrame) -> list[str]:
    """All columns of samples.csv, and those that a test adds."""
    return [*SAMPLES.names, *table.columns.difference(SAMPLES.names)]


class Federation:
    """Files of a federation's baselines and methods; change tables, and write them again.

    tables: of each site and model, an image a row: what is known of it, `score` of the site's own
    head, and `score_<site>` of the head of every other site. `predictions` is what files hold.
    """

    def __init__(self, folder: Path, tasks=TASKS, methods=("fedavg",), seeds=(7,), **options):
        self.folder, self.tasks = folder, tasks
        self.samples, self.tables = {}, {}
        for place, site in enumerate(tasks):
            rows, self.samples[site] = draw_site(place, **options)
            for architecture in ("standard", "densenet121"):
                for method in ("baseline", *methods):
                    for seed in seeds:
                        key = (site, architecture, method, seed)
                        self.tables[key] = self.scored(rows, key)

    def scored(self, rows: pd.DataFrame, key: tuple) -> pd.DataFrame:
        draws = np.random.default_rng([*"-".join(map(str, key)).encode()])
        table = rows.assign(score=draw_scores(rows["label"], draws.integers(1000)))
        if key[2] != "baseline":
            for head in self.tasks.keys() - {key[0]}:
                other = draw_scores(rows["label"], [*head.encode(), *key[1].encode()], 0.4)
                table[f"score_{head}"] = other
        return table

    def predictions(self, site: str, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of a site's images in a file of predictions, a head after the other.

        Labels of other findings than the site's own are those of its samples, if they have any.
        """
        parts = []
        for head, finding in self.tasks.items():
            column = "score" if head == site else f"score_{head}"
            if column in table:
                rows = table[["image", "patient", "subset", "label"]]
                rows = rows.assign(site=site, finding=finding, head=head, score=table[column])
                if finding != self.tasks[site]:
                    rows["label"] = self.known(site, finding, table["image"])
                parts.append(rows)
        return pd.concat(parts)

    def known(self, site: str, finding: str, images: pd.Series) -> np.ndarray:
        """The labels that a site's samples have of images, NaN without any."""
        samples = self.samples.get(site, pd.DataFrame({"image": []})).set_index("image")
        return samples.reindex(index=images, columns=[f"label_{finding}"]).to_numpy().ravel()

    def arguments(self, *, samples: bool = True, **settings) -> list[str]:
        """The command line of subgroups, shortcuts or crosstask (without samples), but output."""
        words = []
        for (site, *model), table in self.tables.items():
            file = self.folder / f"{'-'.join(map(str, (site, *model)))}.csv"
            self.predictions(site, table).to_csv(file, index=False)
            words += ["--prediction", *map(str, model), str(file)]
        for site, task in self.tasks.items():
            words += ["--findings", site, "train", task]
        for site, table in self.samples.items() if samples else ():
            known = table.reindex(columns=columns_of(table)).assign(patient_known=True)
            known.to_csv(self.folder / f"{site}.csv", index=False)
            words += ["--samples", site, str(self.folder / f"{site}.csv")]
        changed = SETTINGS | settings
        changed["bootstrap"] = SETTINGS["bootstrap"] | settings.get("bootstrap", {})
        return [*words, "--settings", json.dumps(changed)]

    def run(self, main, **settings) -> pd.DataFrame:
        """The table of subgroups, shortcuts or crosstask, whichever `main` is."""
        output = self.folder / "output.csv"
        words = self.arguments(samples=main in (subgroups.main, shortcuts.main), **settings)
        main([*words, "--output", str(output)])
        return pd.read_csv(output, float_precision="round_trip", keep_default_na=False)
