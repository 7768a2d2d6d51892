"""Processes of ours: children, signals, guards, quick imports."""
