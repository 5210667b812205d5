"""The kinds of suggestions, each with what it looks for, what it says and how it is done."""
