"""What clients speak. Each module parses, calls the portal and prints the reply; no rule about files lives here."""
