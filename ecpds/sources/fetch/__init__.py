"""Fetching files from where they are fastest had: what `ecpds fetch`, probes and the movers' acquisition stand on."""
