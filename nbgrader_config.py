"""Settings of the nbgrader command and of formgrader for this course.

`nbgrader` reads this file when it runs in this folder. All options: https://nbgrader.readthedocs.io
"""

import sys
from pathlib import Path

root = Path(__file__).resolve().parent
try:
    from autograder.nbgrader_settings import apply
except ModuleNotFoundError:  # a checkout that was not installed
    sys.path.append(str(root))
    from autograder.nbgrader_settings import apply

c = get_config()  # noqa: F821  # nbgrader puts it here

# Name of the course in nbgrader's exchange: change it once, before the first release.
c.CourseDirectory.course_id = "neural_networks"
c.CourseDirectory.root = str(root)

apply(c)
