"""A small, complete relying party that a portal team can copy: Flask and Authlib's Flask client.

It knows the provider by its issuer only, and must not import anything from `idp`.
"""
