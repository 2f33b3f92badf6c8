"""Whether an algorithm keeps the contract that its runs are resumed by: tried, not read."""
