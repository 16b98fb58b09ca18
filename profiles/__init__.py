"""What a process did: resources over time, the service's own metrics, CPU and memory profiles.

Public names: `observer.Observer` (process trees and the host, once a second), `resources.RESOURCES` (the schema),
`usage.per_window` (resources of named windows), `ports.listening` (who serves a URL on this machine),
`scrape.Scraper` and `rates.per_window` (the service's own counters), `timing.server_timing` (one header's stages),
`passes.profile` (CPU and memory passes). This room imports measurements and targets only.
"""
