"""One strict HTTP/1.1 layer. Handlers get a request when its head is complete and pull the body themselves."""
