"""More than one machine: Locust's master and workers carry our plan out and our rows home.

A host that joins runs its load processes as one machine does (`loadtests.runner`); beside them `link`, the one process
with Locust's WorkerRunner, sends what they have written. On the master `hub`, with Locust's MasterRunner, writes the same
files into the run directory; `master.Hosts` gives out the plan and accounts for every arrival. Everything that must arrive
lies in files that only grow and is sent by offset until it is acknowledged (`shipping`), so a broken line loses nothing.
Rows can go by a place that all reach instead (`shared`): `carrier` lays them there for `link`, `fetcher` reads them for `hub`.
"""
