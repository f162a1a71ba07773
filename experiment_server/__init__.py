"""The study served to people: database, assignment, HTTP, and what is exported."""
