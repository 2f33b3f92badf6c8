"""The pages of all runs of a store, served to one person: `qcsc-loop ui`."""
