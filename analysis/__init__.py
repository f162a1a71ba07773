"""Numbers from tables: human scores, agreement, groups, figures and the report."""
