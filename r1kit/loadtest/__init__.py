"""Load tests of a server: the client and the report."""
