"""Spans into money: pure functions and records; nothing here touches a file, a socket or a clock."""
