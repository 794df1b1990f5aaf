"""What a person allowed a client, and all that came of it: consents, codes, families, access and refresh tokens.

Every step is one statement that consumes, decides, issues and audits (docs/decisions/0002). Knows no protocol: `idp.oidc` turns
requests into these steps and outcomes into answers.
"""
