"""The judge: the trusted side that runs the checks of a suite against a student's code in a sandbox.

::

    failure      CheckFailed, and how a message calls the value it speaks about
    values       what a value is, and how it is printed in one bounded line
    compare      one comparison for all: type, dtype, shape, finite, values
    numeric      numbers of all kinds as arrays, and what is wrong with them in words
    words        the keywords that all assertions share
    checks       assertions about values: type, dtype, shape, values
    conduct      assertions about behaviour: arguments changed, random numbers used, exceptions
    statistics   assertions about random numbers, ranges and gradients
    draw         seeded inputs that a student can draw again with torch alone
    marks        @points
    mistakes     known wrong answers: what a suite writes down
    twins        running a wrong twin safely on a copy of the student's inputs
    recognise    known wrong answers: which one is this?

Importing this package imports none of them.
"""
