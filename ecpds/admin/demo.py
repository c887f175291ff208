"""What a newcomer is told on the first start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen


@frozen
class Demo:
    """The first user: a password for most doors, an access key for S3."""

    password: str
    access_key_id: str
    secret_access_key: str


def demo_text(demo: Demo, ports: Mapping[str, int], address: str) -> str:
    """What a newcomer pastes, for each door that is open. `address` is the one that the doors listen on."""
    host = f"[{address}]" if ":" in address else address
    lines = [
        "",
        "A first user and a destination were made. This is printed once:",
        "",
        f"  user demo, password {demo.password}",
    ]
    for commands in _commands(demo, ports, host):
        lines += ["", *(f"  {command}" for command in commands)]
    return "\n".join([*lines, "", ""])


def _commands(demo: Demo, ports: Mapping[str, int], host: str) -> Iterator[list[str]]:
    for door, url in (("ftp", "ftp://{}/demo/"), ("https", "https://{}/data/demo/"), ("https_plain", "http://{}/data/demo/")):
        if door in ports:
            yield _curl(
                f"curl {'-k ' if door == 'https' else ''}--user demo:{demo.password}", url.format(f"{host}:{ports[door]}")
            )
    if "ssh" in ports:
        scp = f"scp -P {ports['ssh']}"
        yield [f"{scp} FILE demo@{host}:/demo/", f"{scp} demo@{host}:/demo/FILE ."]
    if "s3" in ports:
        yield _aws(demo, f"--no-verify-ssl --endpoint-url https://{host}:{ports['s3']}")
    if "manhole" in ports:
        yield [f"ssh -p {ports['manhole']} {host}      # the console: a key that is listed in manhole.keys opens it"]


def _curl(curl: str, url: str) -> list[str]:
    return [f"{curl} -T FILE {url}", f"{curl} -O {url}FILE"]


def _aws(demo: Demo, where: str) -> list[str]:
    secrets = f"AWS_ACCESS_KEY_ID={demo.access_key_id} AWS_SECRET_ACCESS_KEY={demo.secret_access_key}"
    return [f"export {secrets}", f"aws s3 cp FILE s3://demo/ {where}", f"aws s3 cp s3://demo/FILE . {where}"]
