"""What is unusual about latency, errors and tokens: shifts, nearest neighbours, and rest after an alarm."""
