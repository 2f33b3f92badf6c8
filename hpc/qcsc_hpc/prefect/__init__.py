"""Machines as Prefect blocks, and one job from three of them."""
