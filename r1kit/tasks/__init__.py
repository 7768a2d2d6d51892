"""QUESTIONS WITH A CHECKER: load or generate problems, verify answers."""
