"""The words of suites: tensor assertions that a student can read.

::

    from autograder.checks import assert_close, assert_shape, fail, observe, raises
"""

from __future__ import annotations

from autograder.judge.checks import (
    as_tensor,
    assert_close,
    assert_device,
    assert_dtype,
    assert_equal,
    assert_finite,
    assert_keys,
    assert_length,
    assert_requires_grad,
    assert_shape,
    assert_true,
    assert_type,
    fail,
)
from autograder.judge.compare import same
from autograder.judge.conduct import assert_rng_untouched, assert_unchanged, raises
from autograder.judge.failure import CheckFailed
from autograder.judge.recognise import observe
from autograder.judge.remote import StudentError
from autograder.judge.statistics import (
    assert_between,
    assert_decreasing,
    assert_differentiable,
    assert_mean,
    assert_probabilities,
    assert_std,
)
from autograder.judge.values import is_remote, type_phrase

__all__ = [
    "CheckFailed",
    "StudentError",
    "as_tensor",
    "assert_between",
    "assert_close",
    "assert_decreasing",
    "assert_device",
    "assert_differentiable",
    "assert_dtype",
    "assert_equal",
    "assert_finite",
    "assert_keys",
    "assert_length",
    "assert_mean",
    "assert_probabilities",
    "assert_requires_grad",
    "assert_rng_untouched",
    "assert_shape",
    "assert_std",
    "assert_true",
    "assert_type",
    "assert_unchanged",
    "fail",
    "is_remote",
    "observe",
    "raises",
    "same",
    "type_phrase",
]
