"""Learning platforms: what they let an instructor download, and what they take back.

Reading, from the outside in: :mod:`~autograder.lms.archives` opens a zip or a folder without trusting it,
:mod:`~autograder.lms.layouts` says whose each file is, :mod:`~autograder.lms.roster` gives a person an id,
:mod:`~autograder.lms.choosing` picks the notebooks, :mod:`~autograder.lms.placing` puts them into
``submitted/``. Writing: :mod:`~autograder.lms.grades` reads the gradebook, and :mod:`~autograder.lms.moodle`,
:mod:`~autograder.lms.canvas`, :mod:`~autograder.lms.ilias` and :mod:`~autograder.lms.points_table` write
files.

``docs/platforms.md`` says from which public source each layout is known.
"""
