"""How an account gets its person's authenticators: activation. Nobody sets somebody else's password here."""
