"""The engines: how PostgreSQL and Redis are reached, bounded and given up on. Knows no table and no key of any room."""
