"""The record of what happened: the event base, the leaf each event leaves, and the fragment other rooms write it with.

Knows no event of any room: those live in each room's `model.py`.
"""
