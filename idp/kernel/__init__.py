"""What every room stands on: time, identifiers, refusals, digests and sealing. Knows nothing of people or protocols."""
