"""The command line: composes the rooms. Public: `cli.main`, `measure.measure`, `users.PlimsollUser`."""
