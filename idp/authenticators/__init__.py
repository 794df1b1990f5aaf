"""What a person proves to know or have: password, one-time password, recovery code; and the devices they were seen on.

Knows accounts only by id. Which proofs are asked for, and what they are worth together, is decided above.
"""
