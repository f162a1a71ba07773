"""How many sessions one small machine serves, and how fast, beside a bare floor."""
