"""The highest rate that meets an SLO, as a bracket with its confidence, in few load-seconds.

Pure: a `Trial` is any function that sends a rate for a while and gives back what became of each request, so that the
search runs in virtual time against simulated queues as well as against a service. Public names: `goal.parse_slo`,
`searching.Search`, `trial.Request`, `trial.Rows`, `answer.document`.
"""
