"""The untrusted side: the jail in which student code runs, and the processes that live in it.

From the bottom up: :mod:`~autograder.sandbox.linux` (system calls), :mod:`~autograder.sandbox.seccomp` and
:mod:`~autograder.sandbox.landlock` (filters), :mod:`~autograder.sandbox.root` (the file tree of a sandbox),
:mod:`~autograder.sandbox.support` (what this machine can do), :mod:`~autograder.sandbox.jail` (all layers
in order) and, on the judge's side, :mod:`~autograder.sandbox.cgroup` (limits of a whole sandbox, on
:mod:`~autograder.sandbox.hierarchy`).
"""
