"""`ecpds cluster token` at the Master, `ecpds cluster join` at a node that is to join: commands that ask no node.

The token goes from the one's standard output to the other's standard input, so that no list of processes shows it.
"""

from __future__ import annotations

import json

from ecpds.cluster.assembly import advertised, master_addresses, member_of_a_fleet
from ecpds.cluster.authority import fleet_secret
from ecpds.cluster.token import Token, read_token, write_token
from ecpds.config import Cluster, Config, ConfigError
from ecpds.folders import make_folder
from ecpds.keys import write_secret


def fleet_token(config: Config) -> str:
    """The line that lets a node join this Master. Raises `ConfigError`."""
    cluster = _cluster(config)
    if member_of_a_fleet(config):
        raise ConfigError("[cluster] masters: this node is no Master; ask at one")
    host = advertised(cluster)
    address = f"tls:[{host}]:{_port(config, cluster)}" if ":" in host else f"tls:{host}:{_port(config, cluster)}"
    return write_token(Token(fleet_secret(config, make=True), (address,)))


def take_token(config: Config, line: str) -> str:
    """Keep the secret of a token for this node; what is still to do, in words. Raises `ConfigError`, `InvalidRequest`."""
    cluster = _cluster(config)
    token = read_token(line)
    master_addresses(Cluster(masters=tuple(token.masters)))
    path = config.path(cluster.secret_file)
    make_folder(path.parent, 0o750)
    write_secret(path, token.secret + b"\n")
    wanted = f"masters = {json.dumps(list(token.masters))}"
    if set(token.masters) <= set(cluster.masters):
        return f"The secret is in {path}: start the node."
    return f"The secret is in {path}. In the configuration, [cluster] needs: {wanted}"


def _cluster(config: Config) -> Cluster:
    if config.cluster is None:
        raise ConfigError("[cluster] is missing: this node is of no fleet")
    return config.cluster


def _port(config: Config, cluster: Cluster) -> int:
    """The one that is configured, or, where that is any, the one that the running node has."""
    if cluster.listen:
        return cluster.listen
    try:
        port: int = json.loads(config.path("ports.json").read_text("utf-8"))["cluster"]
    except (FileNotFoundError, KeyError) as error:
        raise ConfigError("[cluster] listen = 0: the node must run, for its port to be known") from error
    return port
