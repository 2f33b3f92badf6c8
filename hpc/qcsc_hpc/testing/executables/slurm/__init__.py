"""Slurm 22.05, as it answered on one machine; https://slurm.schedmd.com/man_index.html."""
