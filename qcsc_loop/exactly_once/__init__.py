"""A remote job exactly once, whatever dies: the protocol, and the end of a job."""
