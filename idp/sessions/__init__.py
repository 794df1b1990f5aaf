"""A browser that signed in: its session, each proof it gave, which portals it reached, and what became of telling them goodbye.

Knows nothing of grants or protocols: those join `session_alive` when they need to know whether a session lives.
"""
