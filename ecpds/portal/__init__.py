"""One user's view: identity, canonical paths and rights in front of the Master and the stores; and the operator's."""
