"""The models and trainings of a run."""

from chexviz.pipeline import study
from made_configs import changed


def test_figure_3_shows_the_first_seed_and_method(config):
    config = changed(config, "run", "seeds", value=[5, 6])
    shown = study.example_models(config)
    assert {one["seed"] for one in shown} == {5}
    assert len(shown) == 4
