"""scikit-learn's own contract, on every head with quick settings."""

from __future__ import annotations

import doctest
import sys
from collections.abc import Callable
from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from soundprobe.heads import AttentionHead, KNNHead, LinearHead, MLPHead

REPEATED = "check_sample_weight_equivalence_on_dense_data"
QUICK = [
    LinearHead(strengths=(0.01, 1.0), inner_splits=2),
    MLPHead(widths=(16,), learning_rates=(1e-2,), max_epochs=25, patience=5, batch_size=32, inner_splits=2),
    KNNHead(ks=(1, 3, 10), inner_splits=2),
    AttentionHead(widths=(16,), learning_rates=(1e-2,), max_epochs=25, patience=5, batch_size=32, inner_splits=2),
]
EXPECTED_TO_FAIL = {
    LinearHead: {REPEATED: "asks for 1e-7, and the solution is float32's; see test_linear.py for 1e-6 of the optimum"},
    AttentionHead: {REPEATED: "as MLPHead's"},
    MLPHead: {REPEATED: "copies of a clip fall into other batches than the clip; see test_mlp.py for one batch"},
}


@parametrize_with_checks(QUICK, expected_failed_checks=lambda head: EXPECTED_TO_FAIL.get(type(head), {}))
def test_head_meets_scikit_learns_contract(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.parametrize("head", [type(head) for head in QUICK])
def test_example_in_a_heads_docstring_gives_what_it_shows(head: type) -> None:
    found = doctest.DocTestFinder(recurse=False).find(head, globs={}, module=sys.modules[head.__module__])
    assert [len(test.examples) > 3 for test in found] == [True]
    assert doctest.DocTestRunner().run(found[0]).failed == 0


def test_knn_head_takes_no_weights_as_scikit_learns_does_not() -> None:
    with pytest.raises(TypeError, match="sample_weight"):
        KNNHead().fit([[0.0], [1.0]], [0, 1], sample_weight=[1.0, 2.0])
