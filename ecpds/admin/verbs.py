"""What operators can do: one table, which the API and the command line both read, so each verb is written once."""

from __future__ import annotations

from ecpds.admin.acquire_verbs import ACQUIRE_VERBS
from ecpds.admin.kinds import FILE, FLAG, NUMBER, PAIRS, PASSWORD, SECONDS, SWITCH, TEXT, WORDS
from ecpds.admin.scrub_verbs import SCRUB_VERBS
from ecpds.admin.source_verbs import SOURCE_VERBS
from ecpds.admin.verb import Argument, Verb, named
from ecpds.model import MODES, PERMISSIONS

_KEEPING = (
    Argument("copies", NUMBER, "how many movers keep each file"),
    Argument("group", TEXT, "the transfer group that stores it"),
    Argument("lifetime", SECONDS, "how long files are kept after they were published, such as 30d"),
    Argument("options", PAIRS, "digests=sha256,md5, digest_when=inline or after, or one of `option list`", flag="option"),
)
_MODE = Argument("mode", TEXT, "how the user logs in", choices=MODES)
_ENABLED = Argument("enabled", SWITCH, "yes or no")
_DESTINATIONS = Argument("destinations", WORDS, "a destination that may be seen", flag="destination")
_PERMISSIONS = Argument("permissions", WORDS, f"any of {','.join(PERMISSIONS)}", flag="permission")
_POLICIES = Argument("policies", WORDS, "a policy; the first that sets an option wins", flag="policy")
_OPTIONS = Argument("options", PAIRS, "portal.KEY=VALUE; `option list` has them all", flag="option")
_COMMENT = Argument("comment", TEXT, "what records say of the user")
_ACTION = Argument("action", TEXT, "what to do", positional=True, choices=("add", "rm", "list"))

VERBS = (
    Verb(
        ("destination", "add"),
        "Add a destination.",
        lambda operator: operator.add_destination,
        (
            named("name", "the destination's name"),
            *_KEEPING,
        ),
    ),
    Verb(
        ("destination", "set"),
        "Change a destination; what is not named stays.",
        lambda operator: operator.set_destination,
        (
            named("name", "the destination's name"),
            *_KEEPING,
            Argument("unset", WORDS, "an option to take away; also lifetime, group"),
        ),
    ),
    Verb(
        ("destination", "rm"),
        "Remove a destination that is empty.",
        lambda operator: operator.remove_destination,
        (named("name", "the destination's name"), Argument("force", FLAG, "remove what is in it, too")),
    ),
    Verb(
        ("destination", "list"),
        "List the destinations.",
        lambda operator: operator.list_destinations,
        many=True,
        columns=("name", "copies", "group", "lifetime", "digests", "digest_when", "created"),
    ),
    Verb(
        ("destination", "show"),
        "Show one destination.",
        lambda operator: operator.show_destination,
        (named("name", "the destination's name"),),
    ),
    Verb(
        ("user", "add"),
        "Add a user.",
        lambda operator: operator.add_user,
        (
            named("login", "the name to log in with"),
            Argument("password", PASSWORD, "read the password from standard input", flag="password-stdin"),
            _MODE,
            _DESTINATIONS,
            Argument("permissions", WORDS, f"any of {','.join(PERMISSIONS)}; all if not given", flag="permission"),
            _POLICIES,
            _OPTIONS,
            _COMMENT,
        ),
    ),
    Verb(
        ("user", "set"),
        "Change a user; what is not named stays.",
        lambda operator: operator.set_user,
        (
            named("login", "the user's name"),
            _MODE,
            _ENABLED,
            _DESTINATIONS,
            _PERMISSIONS,
            _POLICIES,
            _OPTIONS,
            Argument("unset", WORDS, "an option to take away; also password"),
            _COMMENT,
        ),
    ),
    Verb(
        ("user", "passwd"),
        "Give a user a new password.",
        lambda operator: operator.set_password,
        (
            named("login", "the user's name"),
            Argument("password", PASSWORD, "read the password from standard input", flag="password-stdin"),
        ),
    ),
    Verb(
        ("user", "rm"),
        "Remove a user. Its files stay.",
        lambda operator: operator.remove_user,
        (named("login", "the user's name"),),
    ),
    Verb(
        ("user", "list"),
        "List the users.",
        lambda operator: operator.list_users,
        many=True,
        columns=("login", "mode", "enabled", "destinations", "permissions", "last_login"),
    ),
    Verb(
        ("user", "show"),
        "Show one user.",
        lambda operator: operator.show_user,
        (named("login", "the user's name"),),
    ),
    Verb(
        ("user", "key"),
        "Add an SSH public key to a user, remove it, or list them.",
        lambda operator: operator.change_key,
        (
            named("login", "the user's name"),
            _ACTION,
            Argument("key", FILE, "a file with one public key, as ssh-keygen writes it", True, "pubkeyfile", optional=True),
        ),
    ),
    Verb(
        ("user", "s3key"),
        "Add an S3 access key to a user, remove it, or list them. The secret is shown this once.",
        lambda operator: operator.change_access_key,
        (
            named("login", "the user's name"),
            _ACTION,
            Argument("id", TEXT, "the access key id, to remove it", positional=True, optional=True),
            Argument("life", SECONDS, "how long the key is good, such as 30d; for ever if not given", flag="expires"),
            _PERMISSIONS,
            _DESTINATIONS,
        ),
        many=True,
    ),
    Verb(
        ("user", "totp"),
        "Have one-time codes (TOTP) stand behind a user's password, or no more. The URI for an app is shown this once.",
        lambda operator: operator.change_totp,
        (
            named("login", "the user's name"),
            Argument("action", TEXT, "what to do", positional=True, choices=("enrol", "remove", "show")),
        ),
    ),
    Verb(
        ("policy", "add"),
        "Add a policy: destinations, permissions and options that are given to many users.",
        lambda operator: operator.add_policy,
        (
            named("name", "the policy's name"),
            _DESTINATIONS,
            Argument("permissions", WORDS, "what may be done there; the users' own if not given", flag="permission"),
            _OPTIONS,
            _COMMENT,
        ),
    ),
    Verb(
        ("policy", "list"),
        "List the policies.",
        lambda operator: operator.list_policies,
        many=True,
        columns=("name", "enabled", "destinations", "permissions", "options", "comment"),
    ),
    Verb(
        ("policy", "show"),
        "Show one policy.",
        lambda operator: operator.show_policy,
        (named("name", "the policy's name"),),
    ),
    Verb(
        ("policy", "set"),
        "Change a policy; what is not named stays.",
        lambda operator: operator.set_policy,
        (
            named("name", "the policy's name"),
            _ENABLED,
            _DESTINATIONS,
            _PERMISSIONS,
            _OPTIONS,
            Argument("unset", WORDS, "an option to take away; also permissions"),
            _COMMENT,
        ),
    ),
    Verb(
        ("policy", "rm"),
        "Remove a policy that no user has.",
        lambda operator: operator.remove_policy,
        (named("name", "the policy's name"), Argument("force", FLAG, "take it from its users")),
    ),
    Verb(
        ("share", "add"),
        "Make a link by which others get at a user's file or folder, or put files into it. The link is shown this once.",
        lambda operator: operator.add_share,
        (
            named("login", "the user in whose name it is"),
            named("path", "/DESTINATION/PATH"),
            Argument(
                "permissions", WORDS, "what others may do; get,dir if not given, put,mkdir to take files in", flag="permission"
            ),
            Argument("life", SECONDS, "how long the link is good, such as 30d; for ever if not given", flag="expires"),
            Argument("uses", NUMBER, "how many downloads or uploads; any number if not given"),
            Argument("password", PASSWORD, "read a password of the link from standard input", flag="password-stdin"),
        ),
    ),
    Verb(
        ("share", "list"),
        "List the share links.",
        lambda operator: operator.list_shares,
        (Argument("login", TEXT, "only those of this user", positional=True, optional=True),),
        many=True,
        columns=("id", "login", "path", "permissions", "expires", "most", "used", "has_password"),
    ),
    Verb(
        ("share", "rm"),
        "Take a share link back.",
        lambda operator: operator.remove_share,
        (Argument("id", NUMBER, "the link's number", positional=True),),
    ),
    Verb(("option", "list"), "List the options there are.", lambda operator: operator.list_options, many=True),
    Verb(
        ("file", "show"),
        "Show a file: its id, size, digests, and where its copies are.",
        lambda operator: operator.show_file,
        (named("path", "/DESTINATION/PATH"),),
    ),
    Verb(
        ("file", "ls"),
        "List a directory.",
        lambda operator: operator.list_files,
        (named("path", "/DESTINATION/PATH/"),),
        many=True,
        columns=("size", "mtime", "path", "id", "copies", "state", "release"),
    ),
    Verb(
        ("file", "rm"),
        "Remove a file.",
        lambda operator: operator.remove_file,
        (named("path", "/DESTINATION/PATH"),),
    ),
    Verb(
        ("file", "release"),
        "Let everybody see a file that waits to be released.",
        lambda operator: operator.release_file,
        (
            named("path", "/DESTINATION/PATH"),
            Argument("recursive", FLAG, "all files that wait in this folder and below it"),
        ),
    ),
    Verb(
        ("file", "hold"),
        "Show a file only to who may put there, until it is released.",
        lambda operator: operator.hold_file,
        (named("path", "/DESTINATION/PATH"),),
    ),
    Verb(
        ("events",),
        "Show the records of transfers (INH), refusals (DEA), files fetched (RET) and errors (ERR), the newest first.",
        lambda operator: operator.list_events,
        (
            Argument("type", TEXT, "only records of this type, such as INH"),
            Argument("user", TEXT, "only those of this user"),
            Argument("destination", TEXT, "only those of this destination"),
            Argument("status", TEXT, "only those that are done, or failed"),
            Argument("since", TEXT, "from a time on: 2026-11-21, 2026-11-21T10:30:00Z, or 2h ago as 2h"),
            Argument("until", TEXT, "before a time"),
            Argument("limit", NUMBER, "at most so many"),
            Argument("after", NUMBER, "those behind the record of this Number, the oldest first"),
        ),
        follows="Number",
        many=True,
        columns=("Type", "TimeStamp", "UserId", "Action", "DestinationName", "FileName", "BytesSent", "Status", "Message"),
    ),
    Verb(
        ("transfer", "list"),
        "List the transfers that are under way at this node, the oldest first.",
        lambda operator: operator.list_transfers,
        many=True,
        columns=("started", "user", "action", "path", "sent", "size", "protocol", "address", "mover"),
        local=True,
    ),
    Verb(("mover", "list"), "List the data movers and their volumes.", lambda operator: operator.list_movers, many=True),
    Verb(
        ("mover", "drain"),
        "Give a data mover nothing new; what it has is still read.",
        lambda operator: operator.drain_mover,
        (named("name", "the mover's name"),),
    ),
    Verb(
        ("mover", "undrain"),
        "Let a data mover take files again.",
        lambda operator: operator.undrain_mover,
        (named("name", "the mover's name"),),
    ),
    Verb(
        ("mover", "retire"),
        "Move what a data mover holds to others, and forget it when nothing is left; `mover list` says how far it is.",
        lambda operator: operator.retire_mover,
        (
            named("name", "the mover's name"),
            Argument("wait", FLAG, "return when it is retired"),
            Argument("force", FLAG, "forget one that is lost, and say which files are lost with it"),
        ),
    ),
    *SOURCE_VERBS,
    *ACQUIRE_VERBS,
    *SCRUB_VERBS,
    Verb(("status",), "Show how the node is.", lambda operator: operator.status),
)

BY_PATH = {"/".join(verb.words): verb for verb in VERBS}
