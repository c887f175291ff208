"""In-memory twins of the interfaces: what tests use in place of sockets, disks and the Master.

Each is declared with `@implementer`, verified, and keeps to the same contract suite as the real one. Nothing here has a
reactor: what waits, waits for a Deferred that the test fires.
"""

from tests.doubles.channels import (
    MemoryChannel,
    MemoryListener,
    MemoryListeners,
    MemoryRelayChannel,
    MemorySink,
    MemorySource,
)
from tests.doubles.files import MemoryDownload, MemoryFileSystem, MemoryTree, MemoryUpload
from tests.doubles.portal import MemoryPortal, RecordingSink, make_identity, make_portal

__all__ = [
    "MemoryChannel",
    "MemoryDownload",
    "MemoryFileSystem",
    "MemoryListener",
    "MemoryListeners",
    "MemoryPortal",
    "MemoryRelayChannel",
    "MemorySink",
    "MemorySource",
    "MemoryTree",
    "MemoryUpload",
    "RecordingSink",
    "make_identity",
    "make_portal",
]
