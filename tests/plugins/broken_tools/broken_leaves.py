import sys

sys.exit("needs a newer interpreter")
