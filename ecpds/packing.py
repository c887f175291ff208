"""What our own processes say to each other, as MessagePack: the encoder, and refusals by their names."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import msgspec

from ecpds.errors import refusals

REFUSALS = {refusal.__name__: refusal for refusal in refusals()}


def _plain(value: Any) -> Any:
    if isinstance(value, MappingProxyType):
        return dict(value)
    raise NotImplementedError(f"{type(value).__name__} is not said to another process")


encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
