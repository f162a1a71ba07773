"""Observers that are programs and take part as people do."""
