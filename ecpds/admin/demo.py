"""What a newcomer is told on the first start."""

from __future__ import annotations


def demo_text(password: str, ports: dict[str, int], address: str) -> str:
    """What a newcomer pastes."""
    host = f"[{address}]" if ":" in address else address
    urls = {
        "ftp": f"ftp://{host}:%d/demo/",
        "https": f"https://{host}:%d/data/demo/",
        "https_plain": f"http://{host}:%d/data/demo/",
    }
    lines = ["", "A first user and a destination were made. This is printed once:", "", f"  user demo, password {password}", ""]
    for name in (name for name in urls if name in ports):
        curl = f"curl {'-k ' if name == 'https' else ''}--user demo:{password}"
        url = urls[name] % ports[name]
        lines += [f"  {curl} -T FILE {url}", f"  {curl} -O {url}FILE", ""]
    return "\n".join([*lines, ""])
