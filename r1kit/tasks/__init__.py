"""Tasks: problems, loaded or generated, with verifiers for their answers."""
