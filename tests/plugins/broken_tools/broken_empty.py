TEXT = "no command, and no scheduler"
