"""What runs when a fake command is called. Each call starts a Python: imports here stay light.

That rules out dataclasses, typing, pathlib, subprocess and argparse, each 5 to 15 ms.
"""
