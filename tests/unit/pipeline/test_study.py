"""The models and trainings of a run."""

from chexviz.pipeline import study
from made_configs import changed


def test_figure_3_shows_the_first_seed_and_method(config):
    config = changed(config, "run", "seeds", value=[5, 6])
    shown = study.example_models(config)
    assert {one["seed"] for one in shown} == {5}
    assert len(shown) == 4


def test_the_model_of_table_1_is_given_away_under_the_protocol_that_validates(config):
    assert study.bundled_protocol(config) == "patient"
    config = changed(config, "run", "seeds", value=[5, 6])
    config = changed(config, "run", "methods", value=["fedprox", "fedavg"])
    assert study.bundled_model(config, "patient", "standard") == {
        "protocol": "patient",
        "architecture": "standard",
        "method": "fedprox",
        "seed": 5,
    }
    alone = changed(config, "run", "protocols", value=["paper"])
    assert study.bundled_protocol(alone) == "paper"
