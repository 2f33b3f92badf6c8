"""For tests of what uses SQD: programs of sites that are not here."""
