"""What is proved about a person: evidence, the policy it is judged by, and the levels that follow. Nobody sets a level."""
