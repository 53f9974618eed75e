"""The student's notebook as a suite sees it: functions, classes and values that feel local.

Everything behind a proxy happens in a sandbox. What comes back is plain data, compared here, or a
:class:`RemoteObject` that stands for something that is no data. Calls are differentiable: a backward in the
judge sends one vector-Jacobian request for each call it passes, and parameters in the sandbox get their
``.grad``.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import marshal
import reprlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import torch

from autograder.errors import SandboxTimeout, SuiteError, WireError
from autograder.judge.failure import CheckFailed, note_result
from autograder.judge.remote import CallRecord, RemoteObject, StudentError, module
from autograder.models import Explanation
from autograder.sandbox.client import Peer, RemoteFailure
from autograder.wire import MAPPINGS, Handle, Reference, is_sequence

__all__ = ["CallRecord", "NotDefined", "RemoteObject", "Student", "StudentError"]

_MAX_CALLS: Final = 60
_MAX_FRAMES: Final = 2
"""What one check may receive, in largest frames: all of it may be held until the check ends."""
_PATCHES: Final = itertools.count(1)
"""Numbers of patches: several students share a peer, one after the other."""
_REFERABLE: Final = ("builtins", "collections", "math", "numpy", "operator", "sklearn", "torch")


class NotDefined(CheckFailed):
    """The notebook does not define a name."""


class _Probes:
    """``student.probes.NAME``: a function of the suite's ``probes.py``, to call or to pass as an argument."""

    def __init__(self, student: Student) -> None:
        self._student = student

    def __getattr__(self, name: str) -> RemoteObject:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._student.probe_function(name)


class Student:
    """The ``student`` fixture: one check's view of the notebook.

    :param peer: the branch of the sandbox that answers.
    :param wall_s: wall time of the whole check in seconds; later requests get what is left.
    :param probes: source of the suite's ``probes.py`` by module name, or None.
    """

    def __init__(self, peer: Peer, *, wall_s: float, probes: tuple[str, str] | None = None) -> None:
        peer.resolve, peer.hold = self._resolve, self._hold
        self._peer, self._probe_source, self._wall_s = peer, probes, wall_s
        self._deadline = time.monotonic() + wall_s
        self._received_before = peer.channel.received
        self.calls: list[CallRecord] = []
        """Recorded calls of this check, oldest first."""
        self.plain: tuple[str, str] | None = None
        """Name and type of the last thing fetched that cannot be called."""
        self.probes = _Probes(self)

    # -- what suites use

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self.get(name)

    def get(self, name: str) -> Any:
        """A global of the notebook: a proxy for what can be called, the value of what cannot.

        :raises NotDefined: the notebook does not define it.
        """
        known = f"type of {name}"
        if known not in self._peer.known:
            found = self.ask("get", name=name)
            if type(found) is not dict or found.get("found") is not True:
                raise NotDefined(_missing(name, found))
            if found.get("callable") is not True:
                self.plain = (name, str(found.get("type"))[:200])
                return found.get("value")
            # Asked for once in a copy: the reference is looked up anew at each call anyway.
            self._peer.known[known] = str(found.get("type", "function"))[:200]
        return RemoteObject(self, Reference("name", name), self._peer.known[known], name)

    @property
    def last(self) -> CallRecord:
        """The last recorded call."""
        if not self.calls:
            raise SuiteError("student.last: this check has not called anything yet")
        return self.calls[-1]

    def remote(self, path: str) -> RemoteObject:
        """Something of an installed package in the sandbox, by dotted path:
        ``student.remote("torch.nn.Linear")(5, 7)``."""
        return RemoteObject(self, module(path), path, path.rpartition(".")[2])

    def probe(self, name: str, *args: Any, called: str = "", keep: bool = False, **kwargs: Any) -> Any:
        """Run a function of the suite's ``probes.py`` beside the student's code; gives data.

        ``called`` is what students are told was called, for a probe that calls their function:
        ``"run(seed=3, …)"``. With ``keep`` the result stays in the sandbox, whatever it is.
        """
        function = self.probe_function(name)
        return self.call_node(
            function._node, list(args), kwargs, label=function._label, keep=keep, called=called
        )

    def probe_function(self, name: str) -> RemoteObject:
        """A function of ``probes.py``, as an argument for the student's functions (``f`` in
        ``numeric_grad(f, x)``)."""
        if self._probe_source is None:
            raise SuiteError("this suite has no probes.py")
        module, source = self._probe_source
        if "probes" not in self._peer.known:
            self._peer.defer("load_probes", module=module, code=_compiled(module, source))
            self._peer.known["probes"] = True
        return RemoteObject(self, Reference("probe", f"{module}:{name}"), "function", f"probe {name}")

    def named_parameters(self, model: RemoteObject) -> dict[str, torch.Tensor]:
        """Parameters of a module by name: values, ``requires_grad`` and ``.grad``, all as data."""
        rows = self.ask("parameters", target=model)
        result: dict[str, torch.Tensor] = {}
        for row in rows if type(rows) is list else []:
            if (
                type(row) is not list
                or len(row) != 5
                or type(row[0]) is not str
                or type(row[1]) is not torch.Tensor
            ):
                raise CheckFailed("a parameter of the model is not an ordinary tensor")
            name, value, grad, requires_grad, _ = row
            if requires_grad is True and value.is_floating_point():
                value.requires_grad_(True)
                if type(grad) is torch.Tensor and _kind(grad) == _kind(value):
                    value.grad = grad.detach()
            result[name] = value
        return result

    @contextlib.contextmanager
    def patch(self, path: str, **how: Any) -> Iterator[None]:
        """Replace ``package.attribute`` in the sandbox for a while, by ``returns=``, ``raises=`` (a text) or
        ``value=``.

        A path that does not exist there is left alone: not every version of torch has every back end.
        """
        if len(how) != 1 or next(iter(how)) not in ("returns", "raises", "value"):
            raise SuiteError("patch takes exactly one of returns=, raises=, value=")
        kind, value = next(iter(how.items()))
        number = next(_PATCHES)
        # A reference could be one that the sandbox does not know, which only an answer can tell.
        send = self._peer.defer if value is None or type(value) in (bool, int, float, str) else self.ask
        send("patch", number=number, path=path, how=kind, value=value)
        try:
            yield
        finally:
            self._peer.defer("unpatch", number=number)

    def begin_check(self, seed: int) -> None:
        """Seed as :meth:`seed` does, and let memory that nobody has written to hold NaN in the sandbox."""
        self._peer.defer("begin_check", seed=seed)

    def seed(self, number: int) -> None:
        """Seed ``random``, numpy and torch in the sandbox, before the next request."""
        self._peer.defer("seed", number=number)

    # -- requests

    def ask(self, op: str, **fields: Any) -> Any:
        """One request within what is left of the check's time."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise SandboxTimeout(f"the check took longer than {self._wall_s:g} s", limit_s=self._wall_s)
        try:
            answer = self._peer.request(op, wall_s=left, **fields)
        except RemoteFailure as failure:
            raise _student_error(failure.info) from None
        if (
            self._peer.channel.received - self._received_before
            > _MAX_FRAMES * self._peer.channel.bounds.payload_bytes
        ):
            self._peer.dead = WireError("the answers to one check are larger than the limit")
            raise self._peer.dead
        return answer

    def call_node(
        self,
        target: Handle | Reference,
        args: list[Any],
        kwargs: dict[str, Any] | None = None,
        *,
        label: str,
        keep: bool = False,
        record: bool = True,
        called: str = "",
    ) -> Any:
        """Call something in the sandbox and give its result, joined to the judge's autograd graph."""
        kwargs = kwargs or {}
        watch = record and not label.startswith("probe ")
        grad = torch.is_grad_enabled()
        call = CallRecord(label, args, kwargs, package=_of_package(target), called=called)
        if record:
            # gradcheck alone makes hundreds of calls; the first ones and the last say it all.
            del self.calls[_MAX_CALLS:]
            self.calls.append(call)  # before it runs: it may never return
        try:
            fields: dict[str, Any] = {"kwargs": kwargs} if kwargs else {}
            unusual = {"keep": (keep, False), "watch": (watch, True), "grad": (grad, True)}
            fields |= {name: is_now for name, (is_now, usual) in unusual.items() if is_now != usual}
            reply = self.ask("call", target=target, args=args, **fields)
            if type(reply) is not dict:
                raise StudentError("WireError", (), "an answer that is none", "")
        except StudentError as error:
            call.error = error
            raise
        if reply.get("timeout") is True:
            raise SandboxTimeout(
                f"{called or label} did not return within {self._wall_s:g} s", limit_s=self._wall_s
            )
        _fill(call, reply)
        if type(reply.get("error")) is dict:
            call.error = _student_error(reply["error"])
            raise call.error
        value = reply.get("value")
        if type(reply.get("call")) is int:
            value = self._attach(reply["call"], [args, kwargs], value)
        if keep and not isinstance(value, RemoteObject):
            self._peer.dead = WireError("an answer of another kind than was asked for")
            raise self._peer.dead
        if isinstance(value, RemoteObject):
            value._label = (called or label) if keep else f"the result of {label}"
        call.result = value
        if watch:
            note_result(label, value)
        return value

    def _attach(self, number: int, inputs: Any, value: Any) -> Any:
        leaves = [tensor for tensor in _tensors(inputs) if tensor.requires_grad]
        outputs = [tensor for tensor in _tensors(value) if tensor.requires_grad]
        anchor = torch.zeros((), requires_grad=True)
        joined = _Remote.apply(
            self, number, len(leaves), anchor, *leaves, *[tensor.detach() for tensor in outputs]
        )  # type: ignore[no-untyped-call]
        return _replace(value, dict(zip(map(id, outputs), joined, strict=True)))

    def vjp(self, number: int, grads: Sequence[torch.Tensor | None]) -> list[torch.Tensor | None]:
        """Gradients of an earlier call's tensor inputs."""
        reply = self.ask("vjp", call=number, grads=list(grads))
        if type(reply) is not dict or type(reply.get("grads")) is not list:
            raise StudentError("WireError", (), "an answer that is none", "")
        if type(reply.get("error")) is dict:
            raise _student_error(reply["error"])
        grads_found: list[torch.Tensor | None] = reply["grads"]
        return grads_found

    def _resolve(self, item: Handle | Reference) -> Any:
        type_name = item.type_name if isinstance(item, Handle) else ""
        return RemoteObject(self, item, type_name, "the object")

    def _hold(self, value: object) -> Handle | Reference:
        if isinstance(value, RemoteObject):
            return value._node
        home = getattr(value, "__module__", None)
        name = getattr(value, "__qualname__", None)
        if isinstance(home, str) and isinstance(name, str) and home.partition(".")[0] in _REFERABLE:
            found: Any = sys.modules.get(home)
            for part in name.split("."):
                found = getattr(found, part, None)
            if found is value:
                return module(f"{home}.{name}")
        raise SuiteError(f"{reprlib.repr(value)} cannot be sent to the sandbox; put it into probes.py")


class _Remote(torch.autograd.Function):
    """A call in the sandbox as one node of the judge's graph."""

    @staticmethod
    def forward(
        ctx: Any, student: Student, number: int, leaves: int, anchor: torch.Tensor, *tensors: torch.Tensor
    ) -> Any:
        ctx.student, ctx.number, ctx.kinds = student, number, [_kind(tensor) for tensor in tensors[:leaves]]
        ctx.rest = len(tensors) - leaves
        ctx.set_materialize_grads(False)
        return tuple(tensor.clone() for tensor in tensors[leaves:])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor | None) -> Any:
        found = ctx.student.vjp(ctx.number, grads)
        if len(found) != len(ctx.kinds):
            raise StudentError("WireError", (), "gradients that do not fit the inputs", "")
        for grad, kind in zip(found, ctx.kinds, strict=True):
            if grad is not None and (type(grad) is not torch.Tensor or _kind(grad) != kind):
                raise StudentError("WireError", (), "gradients that do not fit the inputs", "")
        return (None, None, None, None, *found, *([None] * ctx.rest))


def _kind(tensor: torch.Tensor) -> tuple[torch.Size, torch.dtype, bool]:
    """What a gradient has in common with its tensor; autograd itself refuses any other."""
    return tensor.shape, tensor.dtype, tensor.is_meta


@functools.cache
def _compiled(module: str, source: str) -> bytes:
    """A suite's probes as the sandbox runs them: compiling takes longer than most checks, so it is done
    here, once."""
    return marshal.dumps(compile(source, f"<probes {module}>", "exec", dont_inherit=True))


def _of_package(target: Handle | Reference) -> bool:
    return isinstance(target, Reference) and target.kind == "module"


def _student_error(info: Any) -> StudentError:
    get = info.get if type(info) is dict else {}.get
    kinds = get("kinds")
    names = [str(kind)[:100] for kind in kinds] if type(kinds) is list else []
    return StudentError(str(get("type"))[:100], names, str(get("text"))[:4000], str(get("trace", ""))[:4000])


def _missing(name: str, found: Any) -> Explanation:
    similar = found.get("similar") if type(found) is dict else None
    hint = f"The cell that defines {name} did not run to its end, or the name was changed."
    if type(similar) is list and similar and type(similar[0]) is str:
        hint = f"There is a {similar[0][:100]!r} in the notebook: is that the one? The name must be {name!r}."
    return Explanation(summary=f"{name} is not defined.", expected=f"a definition of {name}", hint=hint)


def _fill(call: CallRecord, reply: dict[str, Any]) -> None:
    """What the sandbox says the call did besides returning: claims, checked for their types."""
    call.args_after, call.kwargs_after = list(call.args), dict(call.kwargs)
    mutated: list[int | str] = []
    changed = reply.get("changed")
    for entry in changed if type(changed) is list else []:
        if type(entry) is not list or len(entry) != 2:
            continue
        key, value = entry
        if type(key) is int and 0 <= key < len(call.args):
            call.args_after[key] = value
            mutated.append(key)
        elif type(key) is str and key in call.kwargs:
            call.kwargs_after[key] = value
            mutated.append(key)
    call.mutated = tuple(mutated)
    rng = reply.get("rng")
    call.rng_used = tuple(n for n in rng if n in ("torch", "numpy", "random")) if type(rng) is list else ()
    call.stdout = str(reply.get("stdout", ""))[:4096]
    wall_s = reply.get("wall_s")
    call.wall_s = wall_s if type(wall_s) is float else 0.0


def _tensors(value: Any) -> list[torch.Tensor]:
    """Tensors in plain containers, in the order in which the sandbox finds them."""
    if type(value) in (torch.Tensor, torch.nn.Parameter):
        return [value]
    if is_sequence(value):
        return [tensor for item in value for tensor in _tensors(item)]
    if type(value) in MAPPINGS:
        return [tensor for item in value.values() for tensor in _tensors(item)]
    return []


def _replace(value: Any, by_id: dict[int, torch.Tensor]) -> Any:
    if id(value) in by_id:
        return by_id[id(value)]
    if type(value) is list:
        return [_replace(item, by_id) for item in value]
    if type(value) is tuple:
        return tuple(_replace(item, by_id) for item in value)
    if type(value) is dict:
        return {key: _replace(item, by_id) for key, item in value.items()}
    return value
