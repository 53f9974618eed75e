"""The data sets: what is shipped, what is served, what is kept back, and scikit-learn's own cache."""

from __future__ import annotations

import gzip
import hashlib
import json

import joblib
import numpy as np
import pytest

from autograder import cli, datasets, fetching
from autograder.errors import AutograderError, SuiteError, UsageError
from autograder.limits import Limits
from autograder.sandbox.launch import Zygote

ROWS = 60


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def openml(own_folders, monkeypatch):
    """A small mnist_784 in scikit-learn's cache, in OpenML's form: the folder, pixels and labels."""
    monkeypatch.setitem(datasets._HELD_BACK, ("mnist", "full"), 10)
    generator = np.random.default_rng(0)
    X = generator.integers(0, 256, (ROWS, 784))
    y = generator.integers(0, 10, ROWS)
    names = [f"pixel{number}" for number in range(1, 785)]
    header = ["@RELATION mnist_784", *(f"@ATTRIBUTE {name} real" for name in names)]
    header += ["@ATTRIBUTE class {0,1,2,3,4,5,6,7,8,9}", "@DATA"]
    lines = [",".join(map(str, [*row, f"'{label}'"])) for row, label in zip(X, y, strict=True)]
    table = "\n".join([*header, *lines]) + "\n"
    base = own_folders / "home" / "openml" / "openml.org"
    described = {
        "data_set_description": {
            **{"id": "554", "name": "mnist_784", "version": "1", "format": "ARFF", "status": "active"},
            **{"file_id": "52667", "default_target_attribute": "class", "description": "digits"},
            "md5_checksum": hashlib.md5(table.encode()).hexdigest(),
            "url": "https://www.openml.org/data/v1/download/52667/mnist_784.arff",
        }
    }
    features = [
        {"index": str(number), "name": name, "data_type": "nominal" if name == "class" else "numeric"}
        | {"is_target": str(name == "class").lower(), "is_ignore": "false"}
        | {"is_row_identifier": "false", "number_of_missing_values": "0"}
        for number, name in enumerate([*names, "class"])
    ]
    files = {
        "api/v1/json/data/list/data_name/mnist_784/limit/2/data_version/1": {
            "data": {"dataset": [{"did": 554, "name": "mnist_784", "version": 1, "status": "active"}]}
        },
        "api/v1/json/data/554": described,
        "api/v1/json/data/features/554": {"data_features": {"feature": features}},
        "api/v1/json/data/qualities/554": {
            "data_qualities": {"quality": [{"name": "NumberOfInstances", "value": str(ROWS)}]}
        },
        "data/v1/download/52667/mnist_784.arff": table,
        "data/v1/download/52667": table,
    }
    for name, content in files.items():
        path = base / f"{name}.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_bytes(gzip.compress(text.encode(), 1))
    return base, X, y


def test_the_shipped_digits_are_mnist():
    digits = datasets.load("mnist", "sample")
    assert (digits.kind, digits.all_X.shape, digits.rows, digits.X.shape) == (
        "sample", (5000, 784), 4000, (1000, 784),
    )  # fmt: skip
    assert np.bincount(digits.all_y).tolist() == [500] * 10
    assert digits.X.dtype == np.int64 and digits.y.dtype == np.int64
    assert digits.all_X.min() == 0 and digits.all_X.max() == 255
    assert set(np.bincount(digits.all_y[:200], minlength=10) > 0) == {True}, "mixed, not sorted by class"
    # The mean and spread of MNIST's training pixels, 0.1307 and 0.3081, are in every tutorial.
    assert abs(digits.all_X.mean() / 255 - 0.1307) < 0.003
    assert abs(digits.all_X.std() / 255 - 0.3081) < 0.005


def test_the_shipped_houses_are_those_of_scikit_learn(own_folders):
    houses = datasets.load("california")
    assert (houses.kind, houses.all_X.shape, houses.rows, houses.X.shape) == (
        "full", (20640, 8), 17640, (3000, 8),
    )  # fmt: skip
    # From the data set's description in scikit-learn and its raw file: means, and the first block.
    assert abs(houses.all_y.mean() - 2.0686) < 1e-4
    assert abs(houses.all_X[:, 0].mean() - 3.8707) < 1e-4 and abs(houses.all_X[:, 3].mean() - 1.0967) < 1e-4
    assert houses.all_X[0].tolist() == [8.3252, 41.0, 880 / 126, 129 / 126, 322.0, 322 / 126, 37.88, -122.23]
    # Scikit-learn's own function computes the same features from the same columns.
    from sklearn.datasets import fetch_california_housing

    with np.load(datasets.SAMPLES / "california_housing.npz") as stored:
        table = np.column_stack([stored["target"], stored["columns"]])
    (own_folders / "home").mkdir()
    joblib.dump(table, own_folders / "home" / "cal_housing_py3.pkz", compress=6)
    theirs = fetch_california_housing(data_home=own_folders / "home")
    assert (theirs.data == houses.all_X).all() and (theirs.target == houses.all_y).all()


@pytest.mark.parametrize("name", datasets.NAMES)
def test_rows_are_served_or_kept_back_never_both(name):
    dataset = datasets.load(name, "sample")
    served = {row.tobytes() for row in dataset.as_fetched(dataset.all_X[dataset.served_rows])}
    kept = {row.tobytes() for row in dataset.X}
    assert not served & kept
    assert dataset.rows + len(dataset.y) == len(dataset.all_y)
    again = datasets.load(name, "sample")
    assert (again.served_rows == dataset.served_rows).all(), "the same rows in every run"


def test_the_full_set_is_used_where_scikit_learn_has_it(openml, own_folders):
    _, X, y = openml
    for _ in range(2):  # the second time from the copy
        digits = datasets.load("mnist")
        assert digits.kind == "full" and digits.rows == ROWS - 10
        assert (digits.all_X == X).all() and (digits.all_y == y).all()
    assert len(list((own_folders / "cache").rglob("*.npy"))) == 1
    assert datasets.load("mnist", "sample").kind == "sample"


def test_a_broken_cache_is_named_and_not_deleted(openml):
    base, _, _ = openml
    data = base / "data/v1/download/52667"
    for path in (data / "mnist_784.arff.gz", data.with_name("52667.gz")):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UsageError, match=r"cannot be read .*--data sample"):
        datasets.load("mnist", "full")
    assert (data / "mnist_784.arff.gz").is_file()


def test_a_set_that_is_not_here_is_a_clear_error():
    with pytest.raises(UsageError, match=r"autograder data --fetch.*--data full"):
        datasets.load("mnist", "full")
    with pytest.raises(UsageError, match="auto, sample, full, not 'ful'"):
        datasets.kind_of("mnist", "ful")
    with pytest.raises(SuiteError, match="mnist is not loaded"):
        _ = datasets.DataSets().mnist
    assert datasets.kind_of("mnist") == "sample" and datasets.kind_of("california") == "full"


def test_notebooks_say_what_they_want():
    assert datasets.wanted([b"fetch_openml('mnist_784', version=1)", b"fetch_california_housing()"]) == (
        "california", "mnist",
    )  # fmt: skip
    assert datasets.wanted([b"make_moons()"]) == ()


def test_data_says_what_is_in_use(capsys, openml):
    assert cli.main(["data"]) == 0
    out = capsys.readouterr().out
    assert "MNIST: the full set, 70,000 digits" in out and "California housing: the full set" in out
    assert fetching.run("sample", fetch=False) == 0
    out = capsys.readouterr().out
    assert "a sample of 5,000 of its 70,000 digits; notebooks get 4,000" in out
    assert 'data = "sample" leaves it out' in out


def test_fetching_goes_through_scikit_learn(openml, monkeypatch, capsys):
    base, X, _ = openml
    away = base.parent / "elsewhere"
    base.rename(away)

    def urlopen(request):  # openml.org, which cannot be reached here
        path = away / (request.full_url.split("openml.org/")[1] + ".gz")
        response = open(path, "rb")  # noqa: SIM115 - scikit-learn closes it

        class Response:
            read, close = response.read, response.close

            def info(self):
                return {"Content-Encoding": "gzip"}

        return Response()

    monkeypatch.setattr("sklearn.datasets._openml.urlopen", urlopen)
    assert fetching.run("auto", fetch=True) == 0
    assert "MNIST: the full set" in capsys.readouterr().out
    assert (datasets.load("mnist").all_X == X).all()
    assert fetching.run("auto", fetch=True) == 0
    assert "already" in capsys.readouterr().err


def test_fetching_without_a_network_is_a_clear_error(monkeypatch):
    def urlopen(request):
        raise OSError("Name or service not known")

    monkeypatch.setattr("sklearn.datasets._openml.urlopen", urlopen)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(AutograderError, match=r"could not be fetched .* sample stays in use"):
        fetching.fetch_full()


# -- in a sandbox


SOURCE = """
import os
import numpy as np
from sklearn.datasets import fetch_california_housing, fetch_openml
mnist = fetch_openml('mnist_784', version=1, as_frame=False)
houses = fetch_california_housing()
X, y = fetch_openml(data_id=554, as_frame=False, return_X_y=True)
frame = fetch_openml('mnist_784')
houses_frame = fetch_california_housing(as_frame=True)
kept_types = (mnist.data.dtype, mnist.target.dtype, type(mnist.target[0]).__name__, houses.data.dtype)
mnist.data[:] = -1
houses.target[:] = 0
again = fetch_openml('mnist_784', as_frame=False).data.min(), fetch_california_housing().target.max()
def refused(call):
    try:
        return repr(call())
    except Exception as error:
        return f"{type(error).__name__}: {error}"
files = {}
for number in os.listdir('/proc/self/fd'):
    try:
        name = os.readlink(f'/proc/self/fd/{number}')
    except OSError:
        continue
    if 'memfd' in name:
        files[name.split(':')[1].split()[0]] = int(number)
print(mnist.data.shape, mnist.target.shape, *kept_types)
print(houses.data.shape, houses.feature_names[0], houses.target_names)
print((X >= 0).all(), X.max(), y[0] in set('0123456789'))
print(frame.data.shape, frame.target.dtype.name, list(frame.data.columns[:2]), houses_frame.frame.shape)
print(*again)
print(refused(lambda: fetch_openml('iris', version=1)))
print(sorted(files), refused(lambda: os.pwrite(files['mnist'], b'x', 0)))
print(refused(lambda: os.ftruncate(files['mnist'], 9)))
print(refused(lambda: os.pwrite(os.open(f"/proc/self/fd/{files['mnist']}", os.O_RDWR), b'x', 0)))
"""


@pytest.fixture(scope="module")
def serving():
    data = datasets.load_all(datasets.NAMES, "sample")
    with Zygote.start(data=data, parts=("sklearn",)) as zygote, zygote.spawn(Limits(), seed=1) as sandbox:
        yield data, sandbox


def printed(sandbox, source):
    run = sandbox.run_cell(source, wall_s=30, output_bytes=1 << 20)
    assert not [part for part in run["outputs"] if part["output_type"] == "error"], run["outputs"]
    return "".join(part["text"] for part in run["outputs"] if part.get("name") == "stdout")


def test_scikit_learns_calls_are_answered(serving):
    _, sandbox = serving
    lines = printed(sandbox, SOURCE).splitlines()
    assert lines == [
        "(4000, 784) (4000,) int64 object str float64",
        "(17640, 8) MedInc ['MedHouseVal']",
        "True 255 True",
        "(4000, 784) category ['pixel1', 'pixel2'] (17640, 9)",
        "0 5.00001",
        "OSError: fetch_openml('iris', version=1): there is no network while a notebook is graded, and this "
        "data set is not part of the assignment. Served are: fetch_california_housing(), "
        "fetch_openml('mnist_784', version=1)",
        # what it holds was opened for reading; opened anew for writing, the seals of the memory refuse
        "['california', 'mnist', 'mnist_scaled'] OSError: [Errno 9] Bad file descriptor",
        "OSError: [Errno 22] Invalid argument",
        "PermissionError: [Errno 1] Operation not permitted",
    ]


@pytest.mark.parametrize(
    ("name", "call"),
    [("mnist", "fetch_openml('mnist_784', as_frame=False)"), ("california", "fetch_california_housing()")],
)
def test_no_kept_row_is_in_the_sandbox(serving, name, call):
    data, sandbox = serving
    source = f"""
import hashlib
from sklearn.datasets import fetch_california_housing, fetch_openml
print(*(hashlib.sha1(row.tobytes()).hexdigest()[:10] for row in {call}.data))
"""
    held = {hashlib.sha1(row.tobytes()).hexdigest()[:10] for row in data.sets[name].X}
    served = printed(sandbox, source).split()
    assert len(served) == data.sets[name].rows and not held & set(served)


def test_probes_get_the_same_digits_scaled_and_in_another_order(serving):
    data, sandbox = serving
    source = """
import hashlib
from sklearn.datasets import fetch_openml
X, y = fetch_openml.scaled_mnist()
X[1] = 9  # a page of one's own: the next call does not see it
X, y = fetch_openml.scaled_mnist()
print(X.dtype, y.dtype, X.shape, y.shape, round(float(X.mean()), 1), round(float(X.std()), 1))
print(*(hashlib.sha1(row.tobytes() + bytes([k])).hexdigest()[:10] for row, k in zip(X, y)))
"""
    about, rows = printed(sandbox, source).splitlines()
    assert about == "float32 int64 (4000, 784) (4000,) 0.0 1.0"
    mnist = data.mnist
    X, y = mnist.scaled(mnist.all_X[mnist.served_rows]), mnist.all_y[mnist.served_rows]
    right = [hashlib.sha1(row.tobytes() + bytes([k])).hexdigest()[:10] for row, k in zip(X, y, strict=True)]
    assert rows.split() != right and sorted(rows.split()) == sorted(right)


def test_a_set_that_cannot_be_written_ends_the_zygote(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    started = []
    monkeypatch.setattr("autograder.sandbox.launch.fill", full)
    monkeypatch.setattr(
        Zygote, "__init__", lambda self, *a, own=Zygote.__init__: (own(self, *a), started.append(self))[0]
    )
    with pytest.raises(OSError, match="No space left"):
        Zygote.launch(data=datasets.load_all(["mnist"], "sample"))
    assert [zygote.alive for zygote in started] == [False]


def test_the_packages_own_copy_is_out_of_sight(serving):
    _, sandbox = serving
    folder = str(datasets.SAMPLES)
    shown = printed(sandbox, f"import os; print(os.path.exists({folder!r}) and os.listdir({folder!r}))")
    assert shown.strip() in ("False", "[]")


def test_a_sandbox_that_serves_nothing_has_scikit_learns_own_call(sandbox):
    out = printed(
        sandbox,
        "from sklearn.datasets import fetch_openml\nprint(fetch_openml.__module__)",
    )
    assert out.strip() == "sklearn.datasets._openml"
