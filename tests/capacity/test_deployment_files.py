"""Deployment files from a plan: what they say, and that the tools that read them accept them."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from planted import Bench, Service, run

from capacity import alert_rules, deployment, manifests, validation
from capacity.deployment import Deployment
from capacity.documents import RunDocuments
from capacity.plan import make_plan
from capacity.validation import Ran, ToolRun
from measurements.interval import Refusal

yaml = pytest.importorskip("yaml")

CONTRACT: dict[str, Any] = {
    "target": {"name": "정책 Kakao!", "base_url": "http://127.0.0.1:8000"},
    "endpoint": [
        {"name": "work", "path": "/work", "timeout_s": 30, "stream": "sse"},
        {"name": "live", "path": "/health/live", "kind": "health"},
        {"name": "ready", "path": "/health/ready", "kind": "health"},
    ],
    "resources": {"cpu": 1.0, "cpu_request": 0.25, "memory_mib": 1024, "memory_request_mib": 512, "workers": 1},
    "limits": {"front": {"proxy": "nginx", "rate": "10/minute", "burst": 20, "paths": "/api/"}},
    "alert": {
        "rule": [
            {"metric": "response_ms", "above": 5000, "window_s": 300, "severity": "critical"},
            {"metric": "error_rate", "above": 0.05, "window_s": 300, "severity": "critical"},
            {"metric": "cpu_percent", "above": 80, "window_s": 300, "severity": "high"},
            {"metric": "memory_percent", "above": 85, "severity": "high"},
            {"metric": "disk_percent", "above": 90, "severity": "high"},
            {"metric": "disk_free_gib", "below": 1, "severity": "high"},
            {"metric": "health_failed", "above": 0, "window_s": 30, "times": 3, "severity": "critical"},
            {"metric": "moon_phase", "above": 3},
        ]
    },
}


@pytest.fixture(scope="module")
def measured() -> RunDocuments:
    return run(Service(), Bench(contract=CONTRACT))


@pytest.fixture(scope="module")
def deployed(measured: RunDocuments) -> Deployment:
    found = deployment.of(make_plan([measured], 120).as_json(), measured)
    assert isinstance(found, Deployment)
    return found


@pytest.fixture(scope="module")
def files(measured: RunDocuments, deployed: Deployment) -> dict[str, str]:
    return manifests.render(deployed, alert_rules.metric_names(measured))


def run_tool(folder: Path) -> validation.Run:
    def do(wanted: ToolRun) -> Ran | None:
        if shutil.which(wanted.argv[0]) is None:
            return None
        for name, text in wanted.files.items():
            (folder / name).write_text(text.replace("{folder}", str(folder)), encoding="utf-8")
        argv = [part.replace("{folder}", str(folder)) for part in wanted.argv]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
        return Ran(done.returncode, done.stdout + done.stderr)

    return do


def test_replicas_sizes_probes_and_timeouts_are_those_of_plan_and_contract(
    deployed: Deployment, files: dict[str, str]
) -> None:
    workload, service, scaler, budget = yaml.safe_load_all(files["kubernetes.yaml"])
    spec = workload["spec"]["template"]["spec"]
    container = spec["containers"][0]
    assert workload["spec"]["replicas"] == deployed.replicas == 6
    assert container["resources"] == {
        "requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"cpu": "1000m", "memory": "1024Mi"},
    }  # fmt: skip
    assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert spec["terminationGracePeriodSeconds"] == 40
    assert (
        scaler["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 200
    )  # half of 4 times the request
    assert budget["spec"]["maxUnavailable"] == 1 and service["spec"]["ports"][0]["targetPort"] == 8000


def test_replicas_are_replaced_as_the_contract_rolls_them_out_else_without_losing_one(
    measured: RunDocuments, files: dict[str, str]
) -> None:
    assert rolling(files["kubernetes.yaml"]) == {"maxUnavailable": 0, "maxSurge": 1}
    stated = {"rollout": {"strategy": "rolling", "max_unavailable": 1, "max_surge": 2}}
    contract = {**measured.contract, "target": {**measured.contract["target"], "control": stated}}
    stating = replace(measured, run={**measured.run, "contract": contract})
    found = deployment.of(make_plan([stating], 120).as_json(), stating)
    assert isinstance(found, Deployment)
    text = manifests.render(found, alert_rules.metric_names(stating))["kubernetes.yaml"]
    assert rolling(text) == {"maxUnavailable": 1, "maxSurge": 2} and "as the contract rolls it out" in text


def rolling(text: str) -> dict[str, int]:
    found: dict[str, int] = next(iter(yaml.safe_load_all(text)))["spec"]["strategy"]["rollingUpdate"]
    return found


def test_compose_names_every_replica_and_the_balancer_knows_them_all(
    deployed: Deployment, files: dict[str, str]
) -> None:
    services = yaml.safe_load(files["compose.scale-out.yaml"])["services"]
    replicas = {f"app-{k}" for k in range(1, deployed.replicas + 1)}
    assert set(services) == {*replicas, "balancer"} == {*services["balancer"]["depends_on"], "balancer"}
    assert all(f"server {name}:8000" in files["nginx.conf"] for name in replicas)
    assert "rate=10r/m" in files["nginx.conf"] and "burst=20 nodelay" in files["nginx.conf"]
    assert "proxy_buffering off" in files["nginx.conf"]
    larger = yaml.safe_load(files["compose.scale-up.yaml"])["services"]["app"]
    assert int(larger["environment"]["WEB_CONCURRENCY"]) == int(larger["deploy"]["resources"]["limits"]["cpus"]) >= 5


def test_fargate_gets_a_size_that_it_offers(deployed: Deployment, files: dict[str, str]) -> None:
    task = json.loads(files["ecs-task-definition.json"])
    assert (task["cpu"], task["memory"]) == ("1024", "2048")
    assert replace(deployed, cores=0.5, memory_mib=1024).fargate == (512, 1024)
    assert replace(deployed, cores=0.2, memory_mib=3000).fargate == (512, 3072)
    assert json.loads(files["ecs-service.json"])["desiredCount"] == deployed.replicas


def test_slos_and_stated_alerts_become_rules_and_what_does_not_is_said(
    deployed: Deployment, files: dict[str, str]
) -> None:
    rules = {rule["alert"]: rule for rule in yaml.safe_load(files["prometheus-rules.yaml"])["groups"][0]["rules"]}
    assert len(rules) == 2 + 7 + 2
    assert rules["KakaoAllP95Ms"]["expr"].endswith("> 0.5")
    assert rules["KakaoHealthFailed7"]["for"] == "90s"
    said = alert_rules.not_translated(deployed, alert_rules.MetricNames())
    assert said == ["alert moon_phase: no expression is known for it; write the rule by hand"]
    assert f"# Not translated: {said[0]}" in files["prometheus-rules.yaml"]


def scraped(counter_labels: dict[str, str], *histograms: str) -> dict[str, Any]:
    """What the service's own metrics were, as a run has them."""
    counter = {"name": "app_requests_total", "labels": counter_labels}
    return {"step-01": {"counters": [counter], "histograms": [{"name": name, "labels": {}} for name in histograms]}}


class TestEveryLimitBecomesARuleOrIsListedWithTheReason:
    LIMITS = {  # noqa: RUF012 - never changed
        "all": {"p99_9_ms": 900.0, "mean_ms": 100.0, "error_rate": 0.05, "min_goodput_rps": 20.0},
        "chat": {"ttft_p95_ms": 800.0, "tpot_p95_ms": 50.0},
    }

    def made(self, deployed: Deployment, measured: RunDocuments, server: dict[str, Any]) -> tuple[str, list[str]]:
        limited = replace(deployed, limits=self.LIMITS, alerts=[])
        names = alert_rules.metric_names(replace(measured, server=server))
        text = manifests.render(limited, names)["prometheus-rules.yaml"]
        found = alert_rules.not_translated(limited, names)
        rules = yaml.safe_load(text)["groups"][0]["rules"]
        assert len(rules) - 2 + len(found) == 6
        assert all(f"# Not translated: {sentence}" in text for sentence in found)
        return text, found

    def test_streams_have_rules_where_their_histograms_were_scraped(
        self, deployed: Deployment, measured: RunDocuments
    ) -> None:
        histograms = (
            "vllm:request_duration_seconds",
            "vllm:time_to_first_token_seconds",
            "vllm:time_per_output_token_seconds",
        )
        text, found = self.made(deployed, measured, scraped({"status": "200"}, *histograms))
        assert "histogram_quantile(0.95, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket" in text
        assert "rate(vllm:request_duration_seconds_sum" in text and "> 0.8" in text and "> 0.05" in text
        assert [sentence.split(":")[0] for sentence in found] == ["SLO all min_goodput_rps 20"]

    def test_without_them_each_is_listed(self, deployed: Deployment, measured: RunDocuments) -> None:
        _, found = self.made(deployed, measured, scraped({"status": "200"}, "app_request_seconds"))
        assert [sentence.split(":")[0] for sentence in found] == [
            "SLO all min_goodput_rps 20", "SLO chat ttft_p95_ms 800", "SLO chat tpot_p95_ms 50",
        ]  # fmt: skip
        assert all("plimsoll " in sentence for sentence in found)

    @pytest.mark.parametrize("labels", [{}, {"method": "GET"}, {"status": "success"}])
    def test_a_counter_that_cannot_tell_failures_gives_no_alert_that_never_fires(
        self, deployed: Deployment, measured: RunDocuments, labels: dict[str, str]
    ) -> None:
        text, found = self.made(deployed, measured, scraped(labels, "app_request_seconds"))
        assert "no such label" not in text and "ErrorRate" not in text
        assert any(one.startswith("SLO all error_rate") and "no label with the HTTP status" in one for one in found)

    def test_the_label_that_holds_the_status_is_used_by_its_own_name(
        self, deployed: Deployment, measured: RunDocuments
    ) -> None:
        text, _ = self.made(deployed, measured, scraped({"status_code": "503"}, "app_request_seconds"))
        assert 'status_code=~\\"5..|429\\"' in text

    def test_a_name_from_outside_stays_inside_its_comment(self, deployed: Deployment) -> None:
        outside = replace(deployed, limits={"x\n  evil: true": {"min_goodput_rps": 1.0}}, alerts=[])
        text = manifests.render(outside, alert_rules.MetricNames())["prometheus-rules.yaml"]
        assert "\n  evil" not in text and "# Not translated: SLO x evil: true" in text


def test_a_limit_per_process_is_flagged_in_the_files(deployed: Deployment) -> None:
    made = manifests.render(replace(deployed, limits_per_process=True), alert_rules.MetricNames())
    for name in ("kubernetes.yaml", "compose.scale-out.yaml"):
        assert "6 times as much per client" in made[name]


def test_names_from_outside_cannot_break_out_of_the_files(measured: RunDocuments) -> None:
    nasty = json.loads(json.dumps(CONTRACT))
    nasty["target"]["name"] = "x\n  evil: true"
    nasty["endpoint"][1]["path"] = '/live"};}'
    nasty["limits"]["front"]["paths"] = "/; return 200 evil; #"
    outside = replace(measured, run={**measured.run, "contract": {**measured.contract, **nasty}})
    found = deployment.of(make_plan([outside], 120).as_json(), outside)
    assert isinstance(found, Deployment) and found.name == "x-evil-true"
    made = manifests.render(found, alert_rules.MetricNames())
    workload = next(iter(yaml.safe_load_all(made["kubernetes.yaml"])))
    assert workload["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]["httpGet"]["path"] == '/live"};}'
    assert "evil" not in made["nginx.conf"].replace("x-evil-true", "")
    json.loads(made["ecs-task-definition.json"])


def test_a_plan_without_replicas_makes_no_files() -> None:
    bucket = run(Service(servers=50, cpu_ms=2, bucket_rps=40), Bench(contract=CONTRACT))
    refused = deployment.of(make_plan([bucket], 500).as_json(), bucket)
    assert isinstance(refused, Refusal) and "replicas gain 0" in refused.reason


class TestValidation:
    def test_every_file_is_valid_or_said_not_to_have_been_validated(
        self, files: dict[str, str], tmp_path: Path
    ) -> None:
        found = {one.file: one for one in validation.validate(files, run_tool(tmp_path))}
        assert set(found) == set(files)
        assert not [one for one in found.values() if one.state == "invalid"], found
        if shutil.which("nginx"):
            assert found["nginx.conf"].state == "valid"
        if shutil.which("promtool"):
            assert found["prometheus-rules.yaml"].state == "valid"

    def test_without_tools_nothing_is_called_valid_by_them(self, files: dict[str, str]) -> None:
        found = {one.file: one for one in validation.validate(files, lambda wanted: None)}
        for name in ("nginx.conf", "prometheus-rules.yaml", "compose.scale-out.yaml"):
            assert found[name].state == "not validated"
        document = validation.as_document(list(found.values()))
        assert "nginx.conf" in document["not_validated"]

    @pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
    def test_a_broken_balancer_is_found(self, files: dict[str, str], tmp_path: Path) -> None:
        broken = {"nginx.conf": files["nginx.conf"].replace("least_conn;", "least_con;")}
        found = validation.validate(broken, run_tool(tmp_path))[0]
        assert found.state == "invalid" and "least_con" in found.says

    def test_a_wrong_field_is_found_by_the_schemas_of_kubernetes(self, files: dict[str, str]) -> None:
        pytest.importorskip("kubernetes_validate")
        broken = {"kubernetes.yaml": files["kubernetes.yaml"].replace("maxReplicas:", "maximumReplicas:")}
        assert validation.validate(broken, lambda wanted: None)[0].state == "invalid"

    def test_a_wrong_field_is_found_by_botocore(self, files: dict[str, str]) -> None:
        pytest.importorskip("botocore")
        broken = {"ecs-service.json": files["ecs-service.json"].replace("desiredCount", "wantedCount")}
        assert validation.validate(broken, lambda wanted: None)[0].state == "invalid"
