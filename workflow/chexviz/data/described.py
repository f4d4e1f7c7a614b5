"""Who is on a radiograph, and how it was taken: as its file says, else as the dataset's tables."""

import pandas as pd

from chexviz.data.decoding.dicom import OLDEST, age, sex

DESCRIPTIONS = ["view", "sex", "age"]
WORDS = {"female": "F", "male": "M"}


def completed(samples: pd.DataFrame, records: pd.DataFrame) -> pd.DataFrame:
    """Samples with what the tables say of view, sex and age where the file says nothing.

    samples: as their files describe them, '' where they say nothing. records: see Listing; of the
    same index, and maybe more.
    """
    told = records.reindex(index=samples.index, columns=DESCRIPTIONS, fill_value="")
    unstated = samples["age_stated"] == ""
    return samples.assign(
        view=samples["view"].mask(samples["view"] == "", told["view"].map(str.upper)),
        sex=samples["sex"].mask(samples["sex"] == "", told["sex"].map(gender)),
        age=samples["age"].mask(unstated, told["age"].map(years)),
        age_stated=samples["age_stated"].mask(unstated, told["age"]),
    )


def gender(text: str) -> str:
    """'F', 'M' or '', of these letters and of the words female and male."""
    return sex(WORDS.get(text.casefold(), text))


def years(text: str) -> str:
    """An age as a DICOM header has it, or any number of years, in years; '' if it is none."""
    found = age(text)
    if found is None:
        number = pd.to_numeric(text, errors="coerce")
        found = number if 0 <= number <= OLDEST else None
    return "" if found is None else f"{found:.4g}"
