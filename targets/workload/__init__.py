"""Workloads from what a team already has: access logs and public traces, read into a mix and arrivals.

Public names: `reading.read` (files → `Reading`), `document.document` (what a run of the command prints as JSON),
`writing.write` (contract mix, arrivals, daily shape), `tables.lines` (what a person reads).
Formats: nginx combined (also Apache's), uvicorn's access lines, JSON lines; the Azure LLM inference, BurstGPT and
Mooncake traces. Plain or gzip.
"""
