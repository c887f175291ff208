"""Whatever a call may take and return, by its annotations, crosses the link as it is."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.cluster.assembly import AdminCalls
from ecpds.cluster.board import BoardCalls
from ecpds.cluster.calls import Remote, calls
from ecpds.cluster.codec import decode, encode
from ecpds.cluster.fleet import FleetCalls, MoverCalls, ProberCalls
from ecpds.cluster.remote import RemoteMaster
from ecpds.cluster.small_reads import LookCalls, SmallCalls

REMOTES: tuple[type[Remote], ...] = (
    AdminCalls,
    BoardCalls,
    FleetCalls,
    LookCalls,
    MoverCalls,
    ProberCalls,
    RemoteMaster,
    SmallCalls,
)

PLAIN: Mapping[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**64 - 1),  # what MessagePack has; no size or time of ours is larger
    float: st.floats(allow_nan=False),
    str: st.text(max_size=9),
    bytes: st.binary(max_size=9),
    type(None): st.none(),
    Any: st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=9),
}


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type that is said in an annotation."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind in PLAIN:
        return PLAIN[kind]
    if origin in (Union, types.UnionType):
        return st.one_of(*map(values, inner))
    if origin is tuple and inner[-1:] != (Ellipsis,):
        return st.tuples(*map(values, inner))
    if origin is tuple:
        return st.lists(values(inner[0]), max_size=3).map(tuple)
    if origin in (list, Sequence):
        return st.lists(values(inner[0]), max_size=3)
    if origin is frozenset:
        return st.frozensets(values(inner[0]), max_size=3)
    if origin in (dict, Mapping):
        return st.dictionaries(*map(values, inner), max_size=3)
    if issubclass(kind, Enum):
        return st.sampled_from(kind)
    return fields(kind)


def fields(kind: type) -> st.SearchStrategy[Any]:
    """Records of a class of ours, each field filled in."""
    names = [each.alias for each in attrs.fields(kind)] if attrs.has(kind) else kind.__struct_fields__
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: values(hints[name]) for name in names})


class RoundTrips(SynchronousTestCase):
    def test_every_call(self) -> None:
        for remote in REMOTES:
            for known in calls(remote).values():
                self.crosses(known.arguments)
                self.crosses(known.result)

    def crosses(self, kind: Any) -> None:
        @given(values(kind))
        @settings(max_examples=10, suppress_health_check=list(HealthCheck), deadline=None, database=None)
        def cross(value: Any) -> None:
            self.assertEqual(decode(encode(value), kind), value)

        cross()
