"""The pages people see: forms, templates, words and how they are rendered."""
