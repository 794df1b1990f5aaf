"""One pending sign-in: what was asked, what is proved, and which step comes next. The only place that decides it (law 3)."""
