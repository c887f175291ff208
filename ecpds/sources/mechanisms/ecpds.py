"""Another ecpds: `ecpds://host[:port]/DESTINATION/PATH` is `/data/DESTINATION/PATH` of its HTTPS door, which tells digests."""

from __future__ import annotations

from attrs import evolve

from ecpds.datasources import Candidate
from ecpds.sources.mechanisms.base import parse_url
from ecpds.sources.mechanisms.http import Http, Target

PORT = 8443
"""Where a node's HTTPS door is unless its configuration says otherwise."""


class Ecpds(Http):
    """HTTPS with the portal's own path."""

    schemes = ("ecpds",)

    def target(self, candidate: Candidate) -> Target:
        place = parse_url(candidate.url, self.schemes)
        return Target(evolve(place, scheme="https", port=place.port or PORT, path=f"/data{place.path}"), place.secret)
