"""The two applications that `spanbudget demo` runs, each in a process of its own."""
