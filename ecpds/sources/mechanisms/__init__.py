"""The ways to retrieve a file: each opens a span of a URL as a stream of bytes, and says what the server tells of the file."""
