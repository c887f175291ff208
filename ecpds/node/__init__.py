"""The roof: a node built from its configuration. With `tap`, the only place that sees every room.

`means` is what every part is given, `storage` who keeps the catalogue and the bytes, `doors` who is let in, `life` how all
of it starts and stops.
"""
