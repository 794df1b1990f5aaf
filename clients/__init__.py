"""Example relying parties and client declarations; nothing here is part of the provider.

The room of the provider that keeps relying parties is `idp/clients`.
"""
