"""The hardened SSH transport: key exchange, ciphers, login, channels. For the doors and for the manhole."""
