"""Thresholds of stochastic checks: what a suite declares, what was measured, and which value is in use.

``thresholds.toml`` beside a suite is written by hand::

    [accuracy]                     # its name in calibrated("accuracy")
    task = "evaluate"              # the check it belongs to
    check = "test_accuracy_on_hidden_digits"
    about = "accuracy on hidden digits after 10 (sample) or 5 (full) epochs"
    better = "higher"              # or "lower"
    data = "mnist"                 # "mnist", "california", or absent: no data set
    runs = 3                       # single runs (seeds) of one verdict
    need = 2                       # how many must reach the threshold
    start = { sample = 0.88, full = 0.95 }      # the course's wish; one number where it is the same for all
    sure = { sample = 0.93, full = 0.96 }       # a single run that reaches this settles it (may be left out)
    digits = 2                     # a loosened threshold has this many decimals
    scale = "share"                # "share" (0 to 1), "positive" or "real"; guessed where it is left out
    wrong = ["evaluate-no_zero_grad"]           # golden submissions that are known to be bad
    right = ["solution", "odd_1"]               # default: all with full marks that answer the task

``calibration.json`` is generated from measurements (``autograder calibrate``): for each data kind and device
the values of every variant and seed, and the value in use. Without an entry that fits, ``start`` is in use.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any, Final

from autograder.errors import SuiteError
from autograder.layout import CALIBRATION, DECLARATION

__all__ = [
    "FORMAT",
    "Calibration",
    "InUse",
    "Threshold",
    "Thresholds",
    "Variant",
    "load",
]

FORMAT: Final = 1
"""Of the stored file."""
_REQUIRED: Final = ("task", "check", "better", "runs", "need", "start")
_KEYS: Final = frozenset({*_REQUIRED, "about", "data", "digits", "scale", "sure", "right", "wrong"})
_KINDS: Final = {"mnist": ("sample", "full"), "california": ("full",)}
_SCALES: Final = ("share", "positive", "real")


@dataclass(frozen=True, slots=True)
class Threshold:
    """One declared threshold. ``start`` and ``sure`` are by data kind, "" where it is the same for all;
    ``right`` None stands for every golden submission that answers the task and gets full marks."""

    name: str
    task: str
    check: str
    about: str
    better: str
    data: str | None
    runs: int
    need: int
    start: Mapping[str, float]
    digits: int
    scale: str
    right: tuple[str, ...] | None
    wrong: tuple[str, ...]
    sure: Mapping[str, float] = field(default_factory=dict)

    @property
    def higher(self) -> bool:
        """Whether a larger value is better."""
        return self.better == "higher"

    @property
    def kinds(self) -> tuple[str, ...]:
        """The data kinds that it can be measured with; "" alone where it needs no data set."""
        return tuple(self.start) if self.data is None or "" not in self.start else _KINDS[self.data]

    @property
    def declaration(self) -> dict[str, Any]:
        """What a stored value depends on; it is stored with it."""
        made = {
            "task": self.task,
            "check": self.check,
            "better": self.better,
            "data": self.data,
            "runs": self.runs,
            "need": self.need,
            "start": dict(self.start),
            "digits": self.digits,
            "scale": self.scale,
        }
        return made | ({"sure": dict(self.sure)} if self.sure else {})

    def start_for(self, kind: str | None) -> float:
        """The course's wish for a data kind.

        :raises SuiteError: it has none for this kind.
        """
        value = self.start.get(kind or "", self.start.get(""))
        if value is None:
            raise SuiteError(
                f"threshold {self.name!r} has no start for the data kind {kind!r}: add it to "
                f"start = {{ {', '.join(self.start)} }} in {DECLARATION}"
            )
        return value

    def sure_for(self, kind: str | None) -> float | None:
        """The value with which a single run settles the verdict; None where none does."""
        return self.sure.get(kind or "", self.sure.get(""))

    def passes(self, value: float, limit: float) -> bool:
        """Whether a single run reached ``limit``; a value that is not finite never does."""
        return math.isfinite(value) and (value >= limit if self.higher else value <= limit)

    def verdict(self, values: Sequence[float], limit: float, sure: float | None = None) -> bool | None:
        """The verdict of these runs; None while it is open. A run that reaches ``sure`` settles it, unless
        those before it did."""
        hits = 0
        for made, value in enumerate(values, 1):
            hits += self.passes(value, limit)
            if hits >= self.need or (sure is not None and self.passes(value, sure)):
                return True
            if made - hits > self.runs - self.need:
                return False
        return None

    def loosened(self, value: float, steps: int) -> float:
        """``value`` moved ``steps`` of the last decimal to the lenient side, and rounded to that side."""
        unit = Decimal(1).scaleb(-self.digits)
        exact = Decimal(repr(value)) + unit * (-steps if self.higher else steps)
        return float(exact.quantize(unit, ROUND_FLOOR if self.higher else ROUND_CEILING))

    def text(self, value: float, limit: float | None = None) -> str:
        """``value`` for people: a percentage for a share. Beside ``limit`` it has one decimal more, and is
        rounded so that a value that misses the limit does not look as if it reached it."""
        if not math.isfinite(value):
            return "nan" if math.isnan(value) else "infinite" if value > 0 else "minus infinite"
        digits, shown, mark = self.digits, Decimal(repr(value)), ""
        if self.scale == "share":
            digits, shown, mark = digits - 2, shown * 100, " %"
        digits = max(0, digits) + (limit is not None)
        rounding = ROUND_HALF_EVEN
        if limit is not None and not self.passes(value, limit):
            rounding = ROUND_FLOOR if self.higher else ROUND_CEILING
        if limit is None and shown != shown.quantize(Decimal(1).scaleb(-digits)):
            return f"{shown.normalize():f}{mark}"  # a threshold is never rounded
        return f"{shown.quantize(Decimal(1).scaleb(-digits), rounding):f}{mark}"


@dataclass(frozen=True, slots=True)
class Variant:
    """What one golden submission measured: the values of each seed's verdict; a seed whose check ended
    otherwise (it raised, it ran out of time) has fewer values than runs and is counted in ``lost``."""

    name: str
    right: bool
    seeds: tuple[tuple[float, ...], ...]
    lost: int = 0

    @property
    def values(self) -> tuple[float, ...]:
        """The values of all single runs."""
        return tuple(value for seed in self.seeds for value in seed)


@dataclass(frozen=True, slots=True)
class Calibration:
    """One threshold, measured with one data kind ("" for no data set) on one device: ``value`` is in use,
    ``false_rejection`` the predicted rate of right submissions that its verdict rejects, at worst."""

    threshold: str
    kind: str
    device: str
    value: float
    false_rejection: float
    declaration: Mapping[str, Any]
    versions: Mapping[str, str]
    variants: tuple[Variant, ...]

    @property
    def key(self) -> tuple[str, str, str]:
        """There is one for each of these."""
        return self.threshold, self.kind, self.device


@dataclass(frozen=True, slots=True)
class InUse:
    """The value that a run takes, and the one that is enough by itself. ``false_rejection`` is None where it
    was not measured; ``note`` says to the instructor why ``start`` is taken, and is empty where it is not a
    stopgap."""

    value: float
    false_rejection: float | None = None
    note: str = ""
    sure: float | None = None


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The thresholds of one suite."""

    assignment: str = ""
    declared: Mapping[str, Threshold] = field(default_factory=dict)
    calibrations: tuple[Calibration, ...] = ()

    def get(self, name: str) -> Threshold:
        """The threshold ``name``.

        :raises SuiteError: it is not declared.
        """
        if name not in self.declared:
            known = ", ".join(self.declared) or "none"
            raise SuiteError(f"there is no threshold {name!r} in {DECLARATION}; declared are: {known}")
        return self.declared[name]

    def stored(self, name: str, kind: str | None, device: str) -> Calibration | None:
        """The measurements of this threshold, if there are any."""
        key = name, kind or "", device
        return next((item for item in self.calibrations if item.key == key), None)

    def in_use(self, name: str, kind: str | None, device: str) -> InUse:
        """The value for a run on ``device`` with data of ``kind``: the calibrated one, else ``start``."""
        threshold = self.get(name)
        found = self.stored(name, kind, device)
        if found is not None and found.declaration == threshold.declaration:
            return InUse(found.value, found.false_rejection, sure=threshold.sure_for(kind))
        start, options = threshold.start_for(kind), f"--device {device}" + (f" --data {kind}" if kind else "")
        why = f"{DECLARATION} changed since" if found else "this case was never measured"
        return InUse(
            start,
            note=f"{self.assignment}: threshold {name} is the uncalibrated start {start:g}, as {why}; run: "
            f"autograder calibrate {self.assignment} --threshold {name} {options}",
            sure=threshold.sure_for(kind),
        )


def load(folder: Path) -> Thresholds:
    """The thresholds of the suite in ``folder``; none where it declares none.

    :raises SuiteError: one of the files is wrong; the message says where.
    """
    path = folder / DECLARATION
    if not path.is_file():
        return Thresholds(folder.name)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SuiteError(f"{path}: {error}") from error
    declared = {name: _threshold(path, name, entry) for name, entry in data.items()}
    return Thresholds(folder.name, declared, _calibrations(folder / CALIBRATION))


def _threshold(path: Path, name: str, entry: Any) -> Threshold:
    where = f"{path}: [{name}]"
    if not isinstance(entry, dict):
        raise SuiteError(f"{path}: {name} is outside of a table: begin each threshold with [its_name]")
    unknown = sorted(set(entry) - _KEYS)
    if unknown:
        raise SuiteError(f"{where} unknown {', '.join(unknown)}; known are {', '.join(sorted(_KEYS))}")
    missing = [key for key in _REQUIRED if key not in entry]
    if missing:
        raise SuiteError(f"{where} lacks {', '.join(missing)}")
    texts = {key: _text(where, key, entry[key]) for key in ("task", "check", "about") if key in entry}
    better = _one_of(where, "better", entry["better"], ("higher", "lower"))
    data = _one_of(where, "data", entry["data"], tuple(_KINDS)) if "data" in entry else None
    runs, need = _whole(where, "runs", entry["runs"], 1, 50), _whole(where, "need", entry["need"], 1, 50)
    if need > runs:
        raise SuiteError(f"{where} need = {need} of runs = {runs} cannot be reached")
    start = _by_kind(where, "start", entry["start"], data)
    sure = _by_kind(where, "sure", entry["sure"], data) if "sure" in entry else {}
    for kind, value in sure.items():
        wishes = [start[kind]] if kind in start else start.values()
        for wish in wishes:
            if not (value > wish if better == "higher" else value < wish):
                raise SuiteError(f"{where} sure = {value:g} has to be better than start = {wish:g}")
    shares = all(0 < value < 1 for value in start.values())
    guess = "share" if better == "higher" and shares else "positive" if min(start.values()) > 0 else "real"
    scale = _one_of(where, "scale", entry.get("scale", guess), _SCALES)
    if (scale == "share" and not shares) or (scale == "positive" and min(start.values()) <= 0):
        raise SuiteError(f"{where} start = {entry['start']} does not fit scale = {scale!r}")
    return Threshold(
        name=name,
        task=texts["task"],
        check=texts["check"],
        about=texts.get("about", ""),
        better=better,
        data=data,
        runs=runs,
        need=need,
        start=start,
        digits=_whole(where, "digits", entry.get("digits", 2), 0, 8),
        scale=scale,
        right=_names(where, "right", entry["right"]) if "right" in entry else None,
        wrong=_names(where, "wrong", entry.get("wrong", [])),
        sure=sure,
    )


def _by_kind(where: str, key: str, value: Any, data: str | None) -> dict[str, float]:
    found = value if isinstance(value, dict) else {"": value}
    if isinstance(value, dict) and (not value or not set(value) <= set(_KINDS.get(data or "", ()))):
        known = ", ".join(f"{kind} = …" for kind in _KINDS.get(data or "", ()))
        table = f" or a table {{ {known} }}" if known else ""
        raise SuiteError(f"{where} {key} is one number{table}, not {value!r}")
    for number in found.values():
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
            raise SuiteError(f"{where} {key} must be a finite number, not {number!r}")
    return {kind: float(number) for kind, number in sorted(found.items(), reverse=True)}


def _text(where: str, key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise SuiteError(f"{where} {key} must be a text that is not empty, not {value!r}")
    return value


def _one_of(where: str, key: str, value: Any, known: Sequence[str]) -> str:
    if value not in known:
        raise SuiteError(f"{where} {key} must be one of {', '.join(known)}, not {value!r}")
    return str(value)


def _whole(where: str, key: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SuiteError(f"{where} {key} must be a whole number from {low} to {high}, not {value!r}")
    return value


def _names(where: str, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise SuiteError(f"{where} {key} must be a list of names of golden submissions, not {value!r}")
    return tuple(dict.fromkeys(value))


# -- calibration.json


def _calibrations(path: Path) -> tuple[Calibration, ...]:
    if not path.is_file():
        return ()
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise SuiteError(f"{path}: format {data['format']!r} is not {FORMAT}: calibrate again")
        return tuple(_calibration(item) for item in data["calibrations"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SuiteError(
            f"{path} cannot be read ({type(error).__name__}: {error}). It is generated: delete it and "
            f"run autograder calibrate {path.parent.name}"
        ) from error


def _calibration(item: Mapping[str, Any]) -> Calibration:
    variants = tuple(
        Variant(
            name=str(name),
            right=bool(found["right"]),
            seeds=tuple(
                tuple(math.nan if value is None else float(value) for value in seed)
                for seed in found["seeds"]
            ),
            lost=int(found["lost"]),
        )
        for name, found in item["variants"].items()
    )
    return Calibration(
        threshold=str(item["threshold"]),
        kind=str(item["data"]),
        device=str(item["device"]),
        value=float(item["value"]),
        false_rejection=float(item["false_rejection"]),
        declaration=dict(item["declaration"]),
        versions={str(name): str(version) for name, version in item["versions"].items()},
        variants=variants,
    )
