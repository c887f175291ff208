"""The vocabulary of refusals.

Every room raises these and nothing else for what a user may meet; each door has one table that turns them into its own
replies, and a test checks that each table is total. The docstring of a class is the sentence the user reads.
"""

from __future__ import annotations

from inspect import cleandoc
from typing import ClassVar


class Refusal(Exception):
    """The portal refused this request."""

    of_no_path: ClassVar[str] = ""
    """What stands before a detail that is no path, where the class's own sentence speaks of files."""

    in_brackets: ClassVar[bool] = False
    """Whether a detail stands in brackets, as OpenECPDS has it where it says a sentence that clients may know."""

    def __init__(self, detail: str = "", reason: str = "") -> None:
        """`detail` is for the user; `reason` is what only the record says, such as that a user does not exist."""
        super().__init__(detail)
        self.detail = detail
        self.reason = reason

    @property
    def sentence(self) -> str:
        """What the user reads: the class's own sentence and, where there is one, the detail of this case."""
        text = cleandoc(type(self).__doc__ or "").replace("\n", " ")
        if not self.detail:
            return text
        if self.in_brackets:
            return f"{text[:-1]} ({self.detail})"
        before = text[:-1] if self.detail.startswith("/") else self.of_no_path or text[:-1]
        return f"{before}: {self.detail}"

    def __str__(self) -> str:
        return self.sentence


class LoginFailed(Refusal):
    """The user name or the password is wrong."""


class CodeNeeded(LoginFailed):
    """A one-time code is needed, right behind the password."""


class NotPermitted(Refusal):
    """You may not do that here."""


class NotFound(Refusal):
    """There is no such file or directory."""

    of_no_path = "That is not there"


class AlreadyExists(Refusal):
    """There is already a file or directory of that name."""

    of_no_path = "That is there already"


class IsADirectory(Refusal):
    """That is a directory, not a file."""


class NotADirectory(Refusal):
    """That is a file, not a directory."""


class DirectoryNotEmpty(Refusal):
    """The directory is not empty."""


class InvalidName(Refusal):
    """That name is not allowed."""


class InvalidRequest(Refusal):
    """The request can't be understood."""


class PreconditionFailed(Refusal):
    """The file is not, or no longer, what the request expects."""


class DigestMismatch(Refusal):
    """The bytes that arrived do not have the digest that was announced."""


class Incomplete(Refusal):
    """The transfer ended before all its bytes had arrived."""


class Stalled(Refusal):
    """The transfer made no progress for too long."""


class ConnectionLost(Refusal):
    """The connection was lost."""


class TooLarge(Refusal):
    """The file is larger than is allowed here."""


class NoSpace(Refusal):
    """There is no room left to store this."""


class UploadQuotaExceeded(Refusal):
    """Upload quota exceeded."""

    in_brackets = True


class StorageQuotaExceeded(Refusal):
    """Storage quota exceeded."""

    in_brackets = True


class DownloadQuotaExceeded(Refusal):
    """Download quota exceeded."""

    in_brackets = True


class TooManyConnections(Refusal):
    """Too many connections are open; try again later."""


class TooManyFailures(Refusal):
    """Too many logins have failed; try again later."""


class CrossesDestinations(Refusal):
    """A file can't be moved to another destination by renaming it."""


class NotSupported(Refusal):
    """That is not supported."""


class Unavailable(Refusal):
    """The portal can't do that just now; try again later."""


class Corrupt(Refusal):
    """The stored bytes do not match their record; they were not sent."""


def refusals() -> list[type[Refusal]]:
    """Every refusal of this vocabulary, the base first, for the tests that check that a door's table is total.

    A room's own kind of one, which no door meets, is not of it.
    """
    found: list[type[Refusal]] = [Refusal]
    for refusal in found:
        found.extend(kind for kind in refusal.__subclasses__() if kind.__module__ == __name__)
    return found
