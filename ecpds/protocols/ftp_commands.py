"""The verbs that move no bytes over a data connection: login, options, directories, names and facts.

Each handler takes the interpreter and the argument and returns the last reply; a refusal that it raises becomes one by
the table in `ftp_replies`. What a verb needs beforehand was checked by the verb table.
"""

from __future__ import annotations

from ecpds.errors import IsADirectory, LoginFailed, NotADirectory, NotFound, NotPermitted, TooLarge
from ecpds.model import Entry
from ecpds.portal_interfaces import IFileSystem
from ecpds.protocols import ftp_digests, ftp_ports, ftp_security, ftp_times, ftp_transfers
from ecpds.protocols import ftp_replies as replies
from ecpds.protocols.ftp_digests import HASHES, choose
from ecpds.protocols.ftp_interpreter import Handler, Interpreter
from ecpds.protocols.ftp_listings import any_listing, without_options
from ecpds.protocols.ftp_replies import Reply, quoted, refusal_reply, reply
from ecpds.protocols.ftp_session import DIGEST_VERBS, SYNONYMS, VERBS, Session, State
from ecpds.protocols.ftp_tls import is_named
from ecpds.wire.listings import MLSD_FACTS, mlsd_facts, time_value, unix_line

OK = reply(200, "Done.")

# Logging in


async def user(pi: Interpreter, argument: str) -> Reply:
    """USER. Who has shown a certificate with a key of the user's is logged in by that (RFC 4217 section 5)."""
    pi.leave()
    pi.session.name(argument)
    if (key := pi.client_key) is not None:
        try:
            files = await pi.door.portal.login_with_key(argument, key, pi.origin)
        except LoginFailed:
            return reply(331, "That certificate is not enough; say PASS.")
        return _welcome(pi, files, 232)
    return reply(331, "Say PASS.")


async def password(pi: Interpreter, argument: str) -> Reply:
    login = pi.session.login
    try:
        files = await pi.door.portal.login(login, argument, pi.origin)
    except LoginFailed as refusal:
        pi.session.fail()
        return refusal_reply(refusal)
    return _welcome(pi, files, 230)


def _welcome(pi: Interpreter, files: IFileSystem, code: int) -> Reply:
    pi.enter(files)
    text = files.identity.options.get("portal.welcome")
    return reply(code, *([text] if text else []), f"{pi.session.login} is logged in.")


async def account(pi: Interpreter, argument: str) -> Reply:
    return reply(202, "No account is needed here.")


async def reinitialize(pi: Interpreter, argument: str) -> Reply:
    """REIN (RFC 959 section 4.1.1). Under TLS the connection would have to leave it in the middle, so there it is refused."""
    if pi.session.secure:
        return replies.SECURE_FOR_GOOD
    pi.leave()
    pi.session = Session(failures=pi.session.failures)
    return reply(220, "The session begins anew.")


async def goodbye(pi: Interpreter, argument: str) -> Reply:
    return reply(221, "Goodbye.")


# What kind of server this is


async def system(pi: Interpreter, argument: str) -> Reply:
    return reply(215, "UNIX Type: L8")


async def features(pi: Interpreter, argument: str) -> Reply:
    """FEAT (RFC 2389 section 3.2). The facts that MLST will show bear a star (RFC 3659 section 7.8)."""
    facts = "".join(f"{fact}{'*' if fact in pi.session.facts else ''};" for fact in MLSD_FACTS)
    tls = [] if pi.session.secure or pi.door.credentials is None else ["AUTH TLS"]
    protection = ["PBSZ", "PROT"] if pi.door.credentials is not None else []
    hashes = "".join(f"{shown}{'*' if name == pi.session.digest else ''};" for shown, name in HASHES.items())
    times = ["MDTM", "MFF modify;", "MFMT"]
    others = [
        "AVBL",
        "CLNT",
        "EPRT",
        "EPSV",
        f"HASH {hashes}",
        "HOST",
        "LANG EN*",
        f"MLST {facts}",
        "RANG STREAM",
        "REST STREAM",
    ]
    found = [*tls, *protection, *times, *others, *DIGEST_VERBS, "SIZE", "TVFS", "UTF8"]
    return reply(211, "Extensions:", *sorted(found), "End.")


async def client_name(pi: Interpreter, argument: str) -> Reply:
    return reply(200, "Noted.")


async def host(pi: Interpreter, argument: str) -> Reply:
    """HOST (RFC 7151 section 3): all hosts of the certificate are one here, and the login comes after it."""
    if pi.session.state is not State.CONNECTED:
        return reply(503, "Say HOST before USER.")
    name = argument.strip().removeprefix("[").removesuffix("]")
    if pi.door.credentials is not None and not is_named(name, pi.door.credentials.names):
        return reply(504, "There is no such host here.")
    return reply(220, "That is here.")


async def language(pi: Interpreter, argument: str) -> Reply:
    """LANG (RFC 2640 section 4.1)."""
    wanted = argument.strip().upper()
    known = wanted in ("", "EN") or wanted.startswith("EN-")
    return reply(200, "Replies are in English.") if known else reply(504, "Replies are in English only: LANG EN.")


async def options(pi: Interpreter, argument: str) -> Reply:
    """OPTS (RFC 2389 section 4): UTF-8 is always on, and MLST takes the facts that it shall show (RFC 3659 section 7.9)."""
    name, _, value = argument.partition(" ")
    if name.upper() == "UTF8" and value.strip().upper() in ("", "ON"):
        return reply(200, "UTF-8 is always on.")
    if name.upper() == "MLST":
        chosen = {fact.strip().lower() for fact in value.split(";")}
        pi.session.facts = tuple(fact for fact in MLSD_FACTS if fact in chosen)
        return reply(200, "MLST OPTS " + "".join(f"{fact};" for fact in pi.session.facts))
    if name.upper() == "HASH":
        return choose(pi, value)
    return reply(501, "There is no such option.")


async def help_text(pi: Interpreter, argument: str) -> Reply:
    if argument.strip():
        name = argument.strip().upper()
        verb = VERBS.get(SYNONYMS.get(name, name))
        return reply(214, verb.help) if verb else replies.UNKNOWN_TOPIC
    return reply(214, "The commands are:", *(verb.help for verb in VERBS.values() if verb.implemented), "End.")


async def nothing(pi: Interpreter, argument: str) -> Reply:
    return OK


async def status(pi: Interpreter, argument: str) -> Reply:
    """STAT (RFC 959 section 4.1.3): of the session, or of a path, which lists its first page over the control connection."""
    if not argument.strip():
        return session_status(pi)
    if not pi.files.identity.may("dir"):
        raise NotPermitted
    said = without_options(argument)
    listing = await any_listing(pi.files, pi.session.resolve(said), said, pi.door.limits.listing_page)
    now, owner = pi.door.clock.seconds(), pi.session.login
    lines = [unix_line(entry, now, owner) for entry in listing.first.entries if listing.wanted(entry)]
    await pi.door.turn()  # A page takes milliseconds, and a client may ask for many in a row.
    return reply(213, "Status:", *lines, "End." if listing.first.after is None else "There is more: use LIST.")


def session_status(pi: Interpreter) -> Reply:
    """How the session stands, and what crosses just now."""
    if pi.transfer is None:
        transfer = "No transfer is under way."
    else:
        connected = "connected" if pi.transfer.data.connected else "not connected yet"
        transfer = f"{pi.transfer.description}; the data connection is {connected}."
    session = pi.session
    lines = (f"User {session.login} from {pi.ends.peer}", f"Directory {session.directory}", f"TYPE {session.type}", transfer)
    return reply(211, f"{pi.door.node}:", *lines, "End.")


# How files cross


async def set_type(pi: Interpreter, argument: str) -> Reply:
    """TYPE (RFC 959 section 3.1.1). What clients call ASCII changes nothing: the bytes are stored and sent as they are."""
    words = tuple(argument.upper().split())
    if words in (("I",), ("L", "8"), ("A",), ("A", "N")):
        pi.session.type = "A" if words[0] == "A" else "I"
        return reply(200, f"TYPE is {pi.session.type}; files cross as they are.")
    known = words[0] in ("A", "E", "L")
    return reply(504, "Only TYPE I, A and L 8.") if known else reply(501, "There is no such TYPE.")


async def set_mode(pi: Interpreter, argument: str) -> Reply:
    return reply(200, "MODE is S.") if argument.strip().upper() == "S" else reply(504, "Only MODE S.")


async def set_structure(pi: Interpreter, argument: str) -> Reply:
    return reply(200, "STRU is F.") if argument.strip().upper() == "F" else reply(504, "Only STRU F.")


async def allocate(pi: Interpreter, argument: str) -> Reply:
    """ALLO (RFC 959 section 4.1.3): nothing is set aside, but what is too large is said before it is sent, and an upload of
    fewer bytes looks as if it were cut."""
    words = argument.split()
    if not (words[0].isascii() and words[0].isdigit()) or len(words[0]) > 19:
        return reply(501, "ALLO takes a size in bytes.")
    if 0 < pi.door.limits.file_size < int(words[0]):
        raise TooLarge
    pi.session.allocated = int(words[0])
    return reply(200, "There is no need to; go on.")


async def available(pi: Interpreter, argument: str) -> Reply:
    """AVBL (draft-peterson-streamlined-ftp-command-extensions-09): bytes that new files may take, if they do now."""
    room = await pi.files.room(pi.session.resolve(argument))
    return reply(213, str(room.free))


async def restart(pi: Interpreter, argument: str) -> Reply:
    """REST in stream mode (RFC 3659 section 5): an offset in bytes, for the transfer that follows."""
    digits = argument.strip()
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 19:
        return reply(501, "REST takes an offset in bytes.")
    pi.session.restart = int(digits)
    return reply(350, f"The next transfer begins at {pi.session.restart}.")


async def abort(pi: Interpreter, argument: str) -> Reply:
    """ABOR (RFC 959 section 4.1.3), in its place among the replies: what it aborts, the wire has aborted when it came."""
    pi.data.close()
    return reply(226, "Nothing is being transferred now.")


# Directories and names


async def print_directory(pi: Interpreter, argument: str) -> Reply:
    return reply(257, f"{quoted(pi.session.directory)} is the working directory.")


async def change_directory(pi: Interpreter, argument: str) -> Reply:
    path = pi.session.resolve(argument)
    entry = await pi.files.stat(path)
    if not entry.is_directory:
        raise NotADirectory
    pi.session.directory = path
    return reply(250, f"{quoted(path)} is the working directory.")


async def change_up(pi: Interpreter, argument: str) -> Reply:
    return await change_directory(pi, "..")


async def make_directory(pi: Interpreter, argument: str) -> Reply:
    path = pi.session.resolve(argument)
    await pi.files.make_directory(path)
    return reply(257, f"{quoted(path)} was made.")


async def remove_directory(pi: Interpreter, argument: str) -> Reply:
    await pi.files.remove_directory(pi.session.resolve(argument))
    return reply(250, "Removed.")


async def delete(pi: Interpreter, argument: str) -> Reply:
    await pi.files.delete(pi.session.resolve_file(argument))
    return reply(250, "Deleted.")


async def rename_from(pi: Interpreter, argument: str) -> Reply:
    path = pi.session.resolve(argument)
    await pi.files.stat(path)
    pi.session.renaming = path
    return reply(350, "Say RNTO.")


async def rename_to(pi: Interpreter, argument: str) -> Reply:
    source = pi.session.take_renaming()
    if source is None:
        return replies.RNFR_FIRST
    await pi.files.rename(source, pi.session.resolve(argument))
    return reply(250, "Renamed.")


# Facts


async def facts(pi: Interpreter, argument: str) -> Reply:
    """MLST (RFC 3659 section 7): one entry, over the control connection."""
    path = pi.session.resolve(argument)
    entry = await _looked_at(pi, path)
    line = f"{mlsd_facts(entry, pi.files.identity.permissions, pi.session.facts)} {path}"
    return reply(250, "Facts:", line, "End.")


async def size(pi: Interpreter, argument: str) -> Reply:
    """SIZE (RFC 3659 section 4): what RETR would send, which is the stored bytes in any TYPE.

    Where there is no file, and a part of one is kept for this user, how much that is: clients that resume ask so.
    """
    path = pi.session.resolve_file(argument)
    entry = await pi.files.find(path, "size")
    if entry is None and pi.files.identity.may("put"):
        if kept := await pi.files.kept(path):
            return reply(213, str(kept))
    if entry is None:
        raise NotFound
    if entry.file is None:
        raise IsADirectory
    return reply(213, str(entry.file.size))


async def modified(pi: Interpreter, argument: str) -> Reply:
    """MDTM (RFC 3659 section 3), in UTC."""
    entry = await _looked_at(pi, pi.session.resolve(argument), "mtime")
    return reply(213, time_value(entry.mtime))


async def _looked_at(pi: Interpreter, path: str, permission: str | None = None) -> Entry:
    """Clients look before they put: what is not there is no refusal to record."""
    entry: Entry | None = await pi.files.find(path, permission)
    if entry is None:
        raise NotFound
    return entry


HANDLERS: dict[str, Handler] = {
    **ftp_transfers.HANDLERS,
    **ftp_ports.HANDLERS,
    **ftp_security.HANDLERS,
    **ftp_digests.HANDLERS,
    **ftp_times.HANDLERS,
    "CLNT": client_name,
    "HOST": host,
    "LANG": language,
    "USER": user,
    "PASS": password,
    "ACCT": account,
    "REIN": reinitialize,
    "QUIT": goodbye,
    "SYST": system,
    "FEAT": features,
    "OPTS": options,
    "HELP": help_text,
    "NOOP": nothing,
    "TYPE": set_type,
    "MODE": set_mode,
    "STRU": set_structure,
    "ALLO": allocate,
    "AVBL": available,
    "ABOR": abort,
    "STAT": status,
    "PWD": print_directory,
    "CWD": change_directory,
    "CDUP": change_up,
    "MLST": facts,
    "SIZE": size,
    "MDTM": modified,
    "REST": restart,
    "DELE": delete,
    "MKD": make_directory,
    "RMD": remove_directory,
    "RNFR": rename_from,
    "RNTO": rename_to,
}
"""Who obeys which verb. A test checks that each implemented verb of the table has one."""
