"""What a run commits, told to an experiment tracker by a reader of its journal."""
