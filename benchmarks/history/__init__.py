"""What past gates and runs measured: one DuckDB file (`store`), change points in it (`changes`), a weekly text (`trend`)."""
