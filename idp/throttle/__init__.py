"""Limits on guessing and on volume. Knows lanes and addresses; not what is guessed, nor who a person is."""
