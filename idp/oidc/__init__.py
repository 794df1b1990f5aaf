"""The protocol: reads requests strictly, checks them in one visible order, says what is issued, and answers. Knows no Flask.

`engine/` alone imports Authlib. Rules about people and levels live below; nothing here decides them.
"""
