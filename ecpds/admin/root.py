"""The root of the command line: what stands before the verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def root(connect: Callable[[str | None], Any], kind: type[click.Group] = click.Group) -> click.Group:
    """A group without commands; `connect` gives the node for what `-c` named."""

    @click.group(cls=kind, context_settings={"help_option_names": ["-h", "--help"]})
    @click.option("-c", "--config", metavar="FILE", help="the node's configuration (default: conf/ecpds.toml)")
    @click.pass_context
    def ecpds(context: click.Context, config: str | None) -> None:
        """Look after an ecpds node."""
        context.obj = lambda: connect(config)

    return ecpds
