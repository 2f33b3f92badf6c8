"""OpenPBS 23.06, as it answered on one machine; "PBS Professional Reference Guide"."""
