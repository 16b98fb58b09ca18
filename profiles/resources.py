"""The record of an observation: a row per process and sweep, and one for the host.

`at_ns` counts from the run's start on the observer's monotonic clock. Counters (`cpu_*_s`, `ctx_*`, `read_bytes`,
`write_bytes`, `run_delay_s`, `host_*_s`, `cgroup_*_s`) are cumulative; the others are readings of that moment. Null
means that this kernel, or our rights, gave no value.
"""

import pyarrow as pa

HOST = "host"

RESOURCES = pa.schema(
    [
        ("at_ns", pa.int64()),
        ("role", pa.dictionary(pa.int32(), pa.string())),
        ("pid", pa.int32()),  # null in host rows
        ("name", pa.dictionary(pa.int32(), pa.string())),
        ("cpu_user_s", pa.float64()),
        ("cpu_system_s", pa.float64()),
        ("cpu_reaped_s", pa.float64()),  # of children that ended and were waited for
        ("rss_bytes", pa.int64()),
        ("uss_bytes", pa.int64()),  # as often as 0.1 % of a core pays for: the kernel walks all pages for it
        ("threads", pa.int32()),
        ("fds", pa.int32()),
        ("ctx_voluntary", pa.int64()),
        ("ctx_involuntary", pa.int64()),
        ("read_bytes", pa.int64()),
        ("write_bytes", pa.int64()),
        (
            "run_delay_s",
            pa.float64(),
        ),  # waited for a core while runnable, all threads (schedstat); as often as 0.2 % pays for
        # limits of the process's control group, in the rows of a role's root processes
        ("cgroup_quota_cores", pa.float64()),
        ("cgroup_throttled_s", pa.float64()),
        ("cgroup_periods", pa.int64()),
        ("cgroup_throttled_periods", pa.int64()),
        ("cgroup_memory_bytes", pa.int64()),
        ("cgroup_memory_max_bytes", pa.int64()),
        # host rows
        ("host_cpu_busy_s", pa.float64()),  # over all cores
        ("host_steal_s", pa.float64()),
        ("host_cores", pa.int32()),
        ("host_memory_used_bytes", pa.int64()),
        ("host_memory_total_bytes", pa.int64()),
        ("host_load1", pa.float64()),
        ("host_processes", pa.int32()),
        ("host_disk_used_share", pa.float64()),
        ("host_disk_free_bytes", pa.int64()),
        ("host_net_sent_bytes", pa.int64()),  # without loopback
        ("host_net_recv_bytes", pa.int64()),
        ("host_loopback_bytes", pa.int64()),
        ("psi_cpu_some_s", pa.float64()),
        ("psi_memory_some_s", pa.float64()),
        ("psi_io_some_s", pa.float64()),
    ]
)
