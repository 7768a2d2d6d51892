"""A run's folder: how it is written, resumed, read and checked."""
