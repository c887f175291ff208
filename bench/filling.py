"""A destination with very many entries, made where the catalogue is and without a Master: in seconds."""

from __future__ import annotations

from ecpds.master.sql import Session

FIRST = 1_000_000_000
"""The first DataFileID of these files; the Master's own are smaller."""

SPREAD, ROOM = 2654435761, 1 << 32
"""Names are spread over their room in another order than that of the ids (Knuth's multiplicative hash)."""

NUMBERS = {
    "sqlite": "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})",
    "postgresql": "WITH numbers AS (SELECT n::bigint FROM generate_series(1, {count}) n)",
}
NAMES = {
    "sqlite": f"printf('%08x', n * {SPREAD} % {ROOM})",
    "postgresql": f"lpad(to_hex(n * {SPREAD} % {ROOM}), 8, '0')",
}
DIGESTS = '{"crc64nvme":"0011223344556677","sha256":"' + "ab" * 32 + '"}'

INSERTS = (
    f"INSERT INTO data_file (id, size, mtime, created, digests, metadata) {{numbers}}"
    f" SELECT {FIRST} + n, 1000, 0, 0, '{DIGESTS.replace('{', '{{').replace('}', '}}')}', '{{{{}}}}' FROM numbers",
    f"INSERT INTO segment (id, data_file, number, length) {{numbers}} SELECT {FIRST} + n, {FIRST} + n, 0, 1000 FROM numbers",
    f"INSERT INTO copy (segment, mover, volume) {{numbers}} SELECT {FIRST} + n, 'mover-1', 0 FROM numbers",
    "INSERT INTO entry (directory, name, data_file) {numbers}"
    f" SELECT 1, {{name}} AS name, {FIRST} + n FROM numbers ORDER BY 2",
)


def name(number: int) -> str:
    """What the file of that number, from 1 on, is called."""
    return f"{number * SPREAD % ROOM:08x}"


def fill(session: Session, is_sqlite: bool, count: int) -> None:
    """Put `count` files into the first directory, in the transaction of the session."""
    kind = "sqlite" if is_sqlite else "postgresql"
    for insert in INSERTS:
        session.command(insert.format(numbers=NUMBERS[kind].format(count=count), name=NAMES[kind]))
    if not is_sqlite:
        session.command("ANALYZE")
