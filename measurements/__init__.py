"""The spine: records, the run directory on disk, quantiles with their doubt, validity, errors.

Public names: `errors` (exceptions and exit codes), `sample` (the one flat record), `journal`
(append-only Arrow IPC), `rundir.RunDirectory`, `quantiles`, `summary`, `validity`, `slo`,
`interval.Interval` and `interval.Refusal`. This room imports nothing of ours.
"""
