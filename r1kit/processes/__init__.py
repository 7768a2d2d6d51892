"""Child processes, signals, process guards and fast imports."""
