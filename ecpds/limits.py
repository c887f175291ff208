"""Every limit there is: the section `limits` of the configuration."""

from __future__ import annotations

from attrs import frozen

from ecpds.checks import at_least_one, natural, positive


@frozen
class Limits:
    """Every limit there is. Times are seconds, sizes bytes."""

    ticket_life: float = positive(60.0)
    """How long a ticket to read or write can be used; replaced bytes are kept at least so long."""
    login_time: float = positive(120.0)
    """From connecting to being logged in."""
    idle: float = positive(600.0)
    """A control connection without a command."""
    keep_alive: float = positive(75.0)
    """An HTTP connection between two requests."""
    header_time: float = positive(20.0)
    """From the first byte of an HTTP head to its last."""
    linger: float = positive(2.0)
    """How long an HTTP client that was told of the end may be silent and not close."""
    stall: float = positive(60.0)
    """A transfer that makes no progress."""
    passive_wait: float = positive(30.0)
    """From PASV to the client's data connection."""
    handshake: float = positive(20.0)
    """From connecting to the end of the TLS handshake."""
    proxy_time: float = positive(5.0)
    """From a balancer's connecting to the end of its PROXY header."""
    proxy_header: int = at_least_one(2048)
    """Bytes of a PROXY header."""
    shutdown: float = positive(30.0)
    """How long running transfers may go on after SIGTERM."""
    partial_life: float = positive(86400.0)
    """How long the received part of an interrupted upload is kept."""
    multipart_life: float = positive(604800.0)
    """How long the parts of an upload that nobody completes are kept."""
    connections: int = natural(4000)
    """Connections of one door at a time; 0: no limit."""
    connections_per_address: int = natural(1000)
    """Connections of one client address to one door; 0: no limit."""
    login_tries: int = at_least_one(3)
    """Wrong passwords before an FTP connection is closed."""
    login_threads: int = at_least_one(2)
    """Passwords that are checked at a time."""
    login_queue: int = at_least_one(200)
    """Logins that may wait for that."""
    login_failures: int = natural(100)
    """Wrong passwords from one address in `login_forgiven` seconds before it is told to come back later; 0: no limit."""
    login_forgiven: float = positive(600.0)
    """After how long a wrong password no longer counts."""
    code_failures: int = natural(10)
    """Wrong one-time codes of one user in `login_forgiven` seconds before its next ones are refused; 0: no limit."""
    code_life: float = positive(600.0)
    """How long a one-time code that HTTP brought is taken again from the same address, as with each request."""
    credential_life: float = positive(60.0)
    """How long a checked password is remembered."""
    signature_life: float = positive(5.0)
    """How long a node that is not the Master believes what it heard of an access key."""
    session_idle: float = positive(3600.0)
    """How long a browser's login lasts when it is not used."""
    session_life: float = positive(43200.0)
    """How long it lasts at most."""
    command_line: int = at_least_one(8192)
    """Bytes of one FTP command line."""
    command_queue: int = at_least_one(64)
    """FTP commands that may wait for an earlier one before the connection is no longer read."""
    unknown_commands: int = natural(10)
    """Unknown commands in a row before an FTP connection is closed; 0: no limit."""
    ssh_packet: int = at_least_one(135168)
    """Bytes of one packet that an SSH client may send once it is logged in, and never more than 35000 before."""
    ssh_login_bytes: int = at_least_one(262144)
    """Bytes that an SSH client may send before it is logged in."""
    ssh_tries: int = at_least_one(6)
    """Refused requests to log in before an SSH connection is closed."""
    ssh_channels: int = at_least_one(8)
    """Channels of one SSH connection."""
    ssh_window: int = at_least_one(2097152)
    """Bytes that an SSH client may send on one channel of the door before they are used."""
    sftp_handles: int = at_least_one(64)
    """Files and directories that one SFTP session may have open."""
    ssh_rekey_bytes: int = at_least_one(1073741824)
    """Bytes that cross an SSH connection before it gets new keys."""
    ssh_rekey_time: float = positive(3600.0)
    """After how long it gets them anyway."""
    consoles: int = at_least_one(8)
    """Expressions of the operators' consoles that run at a time."""
    console_idle: float = positive(3600.0)
    """An operators' console in which nothing is typed."""
    console_output: int = at_least_one(1048576)
    """Bytes that one expression may write to the console."""
    console_rows: int = at_least_one(1000)
    """Objects of a list that the console asks for."""
    console_line: int = at_least_one(65536)
    """Characters that may be typed for one expression, or ahead."""
    header_bytes: int = at_least_one(32768)
    """Bytes of one HTTP head."""
    request_line: int = at_least_one(8192)
    """Bytes of its first line."""
    headers: int = at_least_one(100)
    """Header fields of one HTTP request."""
    near_file: int = natural(0)
    """Bytes up to which a new file of known size goes to the mover where its client is, if that has room; 0: all take turns."""
    kept_file: int = natural(16384)
    """Bytes of a file up to which it is kept in memory when it was read; 16384 at most are read at once."""
    kept_bytes: int = natural(33554432)
    """Bytes of such files in all; 0: none is kept."""
    kept_fields: int = natural(4096)
    """Sets of header fields, each under a MAC, that HTTPS clients need not prove again on another connection; 0: none."""
    ranges: int = natural(100)
    """Byte ranges that one HTTP request may ask for; who asks for more gets the whole file."""
    copied_entries: int = natural(10000)
    """Files and folders that one COPY of a folder over HTTPS may take."""
    file_size: int = natural(0)
    """Bytes of one file; 0: no limit."""
    download_rate: int = natural(0)
    """Bytes per second of all downloads of this node together; 0: no limit."""
    upload_rate: int = natural(0)
    """Bytes per second of all its uploads."""
    listing_page: int = at_least_one(1000)
    """Entries read from the catalogue at a time."""
    buffers: int = at_least_one(134217728)
    """Bytes of bulk buffers in all."""
    window: int = at_least_one(4)
    """Bulk buffers that one upload may have in flight."""
    read_ahead: int = natural(2097152)
    """Bytes of a file that another mover sends before they are asked for, to who reads it from one place on; 0: none."""
    disk_threads: int = at_least_one(8)
    """Threads for files."""
    digest_threads: int = at_least_one(4)
    """Threads for digests."""
    catalogue_threads: int = at_least_one(4)
    """Threads that ask the catalogue what takes long, or is asked of a server."""
    free_space: int = natural(16777216)
    """Bytes of a volume that are never used."""
    master_wait: float = positive(10.0)
    """How long a node goes on asking a Master that can't be reached."""
    moves: int = at_least_one(4)
    """Copies that are moved at a time off a mover that is to be retired."""
    lifetime_look: float = positive(60.0)
    """How often files are looked for whose destination keeps them no longer; each leaves at most so much late."""
    usage_life: float = positive(5.0)
    """How long a count of what a destination holds is good, and a hundred times as long as it took."""
    history_page: int = at_least_one(10000)
    """Records that one question about the history may return."""
    history_days: int = natural(360)
    """Days of the history that are kept; 0: all."""
    report_days: int = natural(360)
    """Days that transfer reports of data sources are kept."""
    source_batch: int = at_least_one(10000)
    """URLs that one request may ask the repository of data sources about."""
    source_body: int = at_least_one(16777216)
    """Bytes of a request to the repository that imports a configuration or asks about many URLs."""
    acquire_files: int = at_least_one(4)
    """Files that are acquired at a time."""
    acquire_listing: int = at_least_one(10000)
    """Files of a remote folder that are looked at."""
    acquired_files: int = at_least_one(100000)
    """Files that an acquisition remembers; those that the folder no longer has go first."""
    acquire_tries: int = at_least_one(8)
    """How often a file that can't be acquired is tried, until it changes."""
    probe_movers: int = natural(4)
    """Movers that measure data sources at a time, in a round that was asked for; 0: none does."""
    probe_files: int = at_least_one(100)
    """Files of one round."""
    probe_bytes: int = at_least_one(67108864)
    """Bytes of a file that are fetched to measure."""
    probe_seconds: float = positive(60.0)
    """How long one candidate is measured."""
