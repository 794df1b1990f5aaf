"""Limits on guessing and on volume. Knows subjects and addresses; not what is guessed, nor who a person is."""
