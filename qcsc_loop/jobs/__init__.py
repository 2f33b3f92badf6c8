"""Remote jobs as records: keys, outcomes, sites, and the ledger of a run."""
