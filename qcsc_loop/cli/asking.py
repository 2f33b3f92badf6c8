"""How a shell asks what the last word may be: `main` looks for it before it imports anything."""

ASKED = "_QCSC_LOOP_COMPLETE"
