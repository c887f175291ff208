"""Measurements beside the servers that people use today. Each bench is a module with a `run`; `bin/bench` calls them."""
