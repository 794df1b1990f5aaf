"""Reference data and number rules that hold for everybody: neutral words, one package per country below.

Owns names, verdicts on numbers, and the way to a country's rules. Knows no country, no account and no engine:
everything here is pure, and the data ships with the package.
"""
