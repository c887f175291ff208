"""Pure codecs: ranges and conditionals, digest fields, chunked framing, listings. No I/O, no clock."""
