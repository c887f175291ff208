"""What operators use: each verb written once, served over HTTP and called by the command line."""
