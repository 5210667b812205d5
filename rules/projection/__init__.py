"""Where the spend of a budget's window will end, with an interval, from what was spent so far and before.

`bins` cuts time, `history` keeps what each budget spent in each bin, `model` learns weekdays, trend and level
from it (numpy; nothing else here needs it), and `outlook` looks from a moment to the end of the window.
"""
