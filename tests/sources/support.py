"""Sources for tests, in few words."""

from __future__ import annotations

from ecpds.datasources import Curated, DataSource, Site, Transform, UrlMatcher


def host(scheme: str, name: str, id_: int = 1) -> UrlMatcher:
    return UrlMatcher(id_, "scheme_and_host", {"scheme": scheme, "host": name})


def source(id_: int, label: str, url: str, *transforms: Transform, mechanism: str = "curl", enabled: bool = True) -> DataSource:
    """A source with the matcher of one `scheme://host`."""
    scheme, _, name = url.partition("://")
    return DataSource(id_, label, mechanism, enabled=enabled, matchers=(host(scheme, name, 100 + id_),), transforms=transforms)


def change_host(id_: int, target: int, new: str, *sites: int) -> Transform:
    return Transform(id_, target, "change_host", {"new_host": new}, sites=sites, conditional=bool(sites))


def curated(*sources: DataSource, sites: tuple[Site, ...] = ()) -> Curated:
    return Curated({each.id: each for each in sources}, {each.id: each for each in sites}, 1000)
