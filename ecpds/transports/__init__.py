"""How bytes cross a socket: sendfile, recv_into aligned buffers, TLS on the descriptor, with back-pressure both ways."""
