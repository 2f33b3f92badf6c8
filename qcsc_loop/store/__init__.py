"""What survives: documents under names, the journal of a run, its lease."""
