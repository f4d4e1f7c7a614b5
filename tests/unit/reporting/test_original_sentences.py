"""What the paired tests, the simulations and the original's numbers allow to say."""

from chexviz.reporting.paper import original, paired_tests, simulations


def test_tests_count_what_each_calls_significant():
    said = paired_tests.tests_sentence(2, [("the bootstrap", 0), ("DeLong’s test", 1)], 0, 0.05, 0)
    assert said == (
        "the significant differences among two comparisons were, without correction, none by the "
        "bootstrap and one by DeLong’s test. Holm’s correction of the primary test left none. A "
        "loss of 0.05 or more in AUROC could be ruled out in neither of the two comparisons."
    )
    assert "none of the two" not in said
    assert (
        paired_tests.tests_sentence(0, [], 0, 0.05, 0)
        == "no comparison had enough cases to be tested."
    )


def test_simulated_studies():
    rows = [("the t test over replicates", 1000, 0.95), ("DeLong’s test", None, 0.03)]
    assert simulations.simulated(rows, 200) == (
        "In 200 simulated studies, the t test over replicates (1,000 replicates) called "
        "95\u00a0% different and DeLong’s test called 3\u00a0% different"
    )


def test_published_values():
    assert original.agreement(40, 0, 0, 0).startswith("None of its 40 values can be compared")
    assert original.agreement(40, 30, 5, 5) == (
        "Of 40 values, 40 can be compared with ours; 30 (75\u00a0%) lie where 95\u00a0% of "
        "repetitions of our evaluation would, 5 above and 5 below."
    )
    assert original.agreement(40, 40, 0, 0).endswith(
        "The reproduction agrees with the original throughout."
    )


def test_why_published_values_differ_is_not_known():
    assert original.discrepancy(0, 0, 0) == ""
    assert original.discrepancy(8, 0, 0) == (
        "All 8 published values that can be compared are compatible with ours."
    )
    said = original.discrepancy(6, 1, 1)
    assert "75\u00a0% are compatible with ours. Why the others are not is unknown" in said
    assert "as likely" not in said


def test_published_p_values_are_not_said_to_be_irreproducible():
    said = original.published_p([0.76, 0.1, 0.19, 0.71], 0.95, 1000)
    assert said == (
        "The published p values are not compared with ours: the original does not state its test "
        "in full. Read literally, as a t test over bootstrap replicates, it calls 95\u00a0% of "
        "equally good models different with 1,000 replicates, whereas the published p are from "
        "0.10 to 0.76."
    )


def test_the_original_split_is_suggested_with_what_chance_would_give():
    said = original.original_split("pneumonia", 1, [1205, 4131], 0.0558)
    assert "fit 1,205 positive and 4,131 negative images" in said
    assert "(0.056 such divisions are to be expected of unrelated percentages)" in said
    assert "That suggests a plain random fifth." in said
    assert "follows from its table" not in said
    assert "does not follow from its table" in original.original_split("pneumonia", 0, [], 0.05)


def test_sizes_that_fit():
    assert original.sizes("pneumothorax", 2409, 0, [], [460, 1663]) == (
        "For pneumothorax, no division of 2,409 images, a fifth of the dataset, fits. The smallest "
        "classes that do have 460 and 1,663 images."
    )
    assert "and no other division of 5,336 images" in original.sizes(
        "pneumonia", 5336, 1, [1205, 4131], [1205, 1024]
    )
