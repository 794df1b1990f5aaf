"""HTTP and HTML. No rule lives here."""
