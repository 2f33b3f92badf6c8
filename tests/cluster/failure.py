"""The one error of this folder."""

from __future__ import annotations


class ClusterFailed(Exception):
    """The cluster could not be started or stopped; the sentence says why and what to do."""
