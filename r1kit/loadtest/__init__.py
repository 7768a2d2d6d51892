"""How fast a server answers: the client, and the report."""
