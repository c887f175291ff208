"""`metadata` with every table of the catalogue: those of `schema`, and those that `source_schema` adds."""

from __future__ import annotations

import ecpds.master.source_schema  # noqa: F401
from ecpds.master.schema import metadata as metadata
