"""The data-only language between judge and sandbox, and the framed socket it travels on.

A frame is ``magic, header length, payload length`` (16 bytes), a msgpack header that holds the structure,
and the raw bytes of all arrays one after the other. The header never holds array bytes, so its size bounds
the number of nodes before anything is allocated; arrays are described by dtype and shape and must match
their byte count exactly.

What travels: ``None bool int float complex str bytes list tuple dict set slice``, numpy arrays and scalars,
torch tensors, dtypes, devices and sizes. Only exact types: a subclass of ``Tensor``, ``float`` or ``str``
is not data and travels as a *handle*, a number that stands for an object on the sender's side.
``OrderedDict``, ``defaultdict`` and named tuples are read through ``dict`` and ``tuple`` themselves, so
that overridden methods have no say. The judge may also send *references*: a name of the student's
namespace, a probe, or an importable object such as ``torch.nn.GELU``.

Nothing here is ever unpickled, evaluated or imported for the judge. A frame that breaks a bound is a
:class:`~autograder.errors.WireError`.
"""

from __future__ import annotations

from autograder.wire.channel import Channel
from autograder.wire.decoder import decode
from autograder.wire.encoder import encode
from autograder.wire.kinds import HEAD, MAGIC, MAPPINGS, Bounds, Handle, Hold, Reference, is_sequence

__all__ = [
    "HEAD",
    "MAGIC",
    "MAPPINGS",
    "Bounds",
    "Channel",
    "Handle",
    "Hold",
    "Reference",
    "decode",
    "encode",
    "is_sequence",
]
