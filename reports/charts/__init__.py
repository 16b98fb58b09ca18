"""Charts: each function takes documents or a small aggregate and gives a `Chart`, or None where there is nothing."""
