"""Beside the student's code: what a probe of a real suite does, and no answer."""


def twice(function, a, b):
    """Two calls in a row, as data."""
    return [function(a, b), function(a, b)]
