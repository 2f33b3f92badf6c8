"""A run as something that is taken elsewhere: exported, imported, forked."""
