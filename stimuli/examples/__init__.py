"""Examples to copy: networks whose weights come from packages, and a sweep of them."""
