"""Measurements of speed, timing and load, each a command of its own."""
