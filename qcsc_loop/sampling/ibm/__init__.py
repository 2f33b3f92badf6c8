"""IBM Quantum: its client, asked so that it neither blocks, nor hangs, nor pays twice."""
