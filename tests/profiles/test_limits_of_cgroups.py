"""Control group limits, from folders laid out as kernels and container runtimes lay them out."""

from pathlib import Path

from profiles.cgroups import Limits


def folder(path: Path, **files: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (path / name.replace("__", ".")).write_text(text)
    return path


def test_version_two_tells_quota_throttling_and_memory(tmp_path: Path) -> None:
    group = folder(
        tmp_path,
        cpu__max="50000 100000\n",
        cpu__stat="usage_usec 9\nnr_periods 40\nnr_throttled 8\nthrottled_usec 1500000\n",
        memory__max="536870912\n",
        memory__current="1048576\n",
    )
    assert Limits((group,), (group,), version=2).read() == {
        "cgroup_quota_cores": 0.5,
        "cgroup_periods": 40,
        "cgroup_throttled_periods": 8,
        "cgroup_throttled_s": 1.5,
        "cgroup_memory_max_bytes": 536870912,
        "cgroup_memory_bytes": 1048576,
    }


def test_version_one_tells_the_same_in_other_files(tmp_path: Path) -> None:
    cpu = folder(
        tmp_path / "cpu",
        cpu__cfs_quota_us="200000",
        cpu__cfs_period_us="100000",
        cpu__stat="nr_periods 3\nnr_throttled 1\nthrottled_time 250000000\n",
    )
    memory = folder(tmp_path / "memory", memory__limit_in_bytes="1073741824", memory__usage_in_bytes="7")
    row = Limits((cpu,), (memory,), version=1).read()
    assert (row["cgroup_quota_cores"], row["cgroup_throttled_s"]) == (2.0, 0.25)
    assert (row["cgroup_memory_max_bytes"], row["cgroup_memory_bytes"]) == (1073741824, 7)


def test_the_tightest_limit_of_the_group_and_its_ancestors_holds(tmp_path: Path) -> None:
    outer = folder(tmp_path, cpu__max="100000 100000", memory__max="1000")
    inner = folder(tmp_path / "inner", cpu__max="max 100000", memory__max="5000")
    row = Limits((inner, outer), (inner, outer), version=2).read()
    assert (row["cgroup_quota_cores"], row["cgroup_memory_max_bytes"]) == (1.0, 1000)


def test_no_limit_is_no_value(tmp_path: Path) -> None:
    group = folder(
        tmp_path, cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000", memory__limit_in_bytes="9223372036854771712"
    )
    assert Limits((group,), (group,), version=1).read() == {}
    assert Limits((tmp_path / "absent",), (tmp_path / "absent",), version=2).read() == {}
