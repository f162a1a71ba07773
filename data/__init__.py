"""The contract: names, tables, file formats and the layout of tasks."""
