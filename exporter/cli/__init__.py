"""The command line. Standard output carries data only; everything else goes to standard error."""
