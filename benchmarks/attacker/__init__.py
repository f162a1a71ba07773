"""A test that tries: what reaches a browser must not tell which answer is right."""
