"""The repository of data sources: which of them have a URL, in which order to try them; and the mechanisms that fetch."""
