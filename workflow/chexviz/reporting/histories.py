"""The histories of all trainings: their option, and what a site sends."""

import argparse

import pandas as pd


def add_histories(parser: argparse.ArgumentParser) -> None:
    """Add the option of the histories of all trainings; see read_histories."""
    parser.add_argument(
        "--history",
        action="append",
        nargs=4,
        required=True,
        metavar=("ARCHITECTURE", "METHOD", "SEED", "FILE"),
    )


def spent(histories: pd.DataFrame) -> pd.Series:
    """Epsilon of any patient, or site, at the end, at most, by (architecture, method); or NaN."""
    return histories.groupby(["architecture", "method"], sort=False)["epsilon"].max()


def sent_per_round(histories: pd.DataFrame) -> pd.Series:
    """Bytes that a site sends in a round, mean, by (architecture, method); 0 without exchange."""
    return histories.groupby(["architecture", "method"], sort=False)["sent"].mean()
