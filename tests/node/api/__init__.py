"""The HTTP API and the web page of running nodes."""
