"""deploy/: manifests and rendered chart against Kubernetes' own schemas, and each other; no cluster runs them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from alerts import WAYS
from conftest import ROOT

DEPLOY = ROOT / "deploy"
# What no schema of Kubernetes itself knows.
OTHERS = {"ExternalSecret", "Kustomization"}


def manifests() -> list[tuple[str, dict]]:
    return [
        (path.name, manifest)
        for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
        for manifest in yaml.safe_load_all(path.read_text())
    ]


KNOWN = [pytest.param(made, id=name) for name, made in manifests() if made["kind"] not in OTHERS]


@pytest.mark.parametrize("manifest", KNOWN)
def test_a_manifest_is_what_kubernetes_takes(manifest: dict) -> None:
    kubernetes_validate.validate(manifest, "1.33", strict=True)


def test_a_manifest_that_is_none_would_be_noticed() -> None:
    job = next(made for _, made in manifests() if made["kind"] == "Job")
    job["spec"]["template"]["spec"]["containers"][0]["imagee"] = "x"
    with pytest.raises(kubernetes_validate.ValidationError, match="imagee"):
        kubernetes_validate.validate(job, "1.33", strict=True)


def test_every_manifest_is_applied() -> None:
    kustomization = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())
    found = {path.name for path in Path(DEPLOY / "kubernetes").glob("*.yaml")}
    assert set(kustomization["resources"]) == found - {"kustomization.yaml"}


def image_of(values: dict) -> str:
    return f"{values['defaultAirflowRepository']}:{values['defaultAirflowTag']}"


def test_the_chart_and_the_job_take_secrets_that_are_made() -> None:
    made = {
        (secret["spec"]["target"]["name"], key["secretKey"])
        for _, secret in manifests()
        if secret["kind"] == "ExternalSecret"
        for key in secret["spec"]["data"]
    }
    values = yaml.safe_load((DEPLOY / "helm" / "values.yaml").read_text())
    taken = {
        (values["data"]["metadataSecretName"], "connection"),
        (values["fernetKeySecretName"], "fernet-key"),
        (values["apiSecretKeySecretName"], "api-secret-key"),
        (values["jwtSecretName"], "jwt-secret"),
        *((secret["secretName"], secret["secretKey"]) for secret in values["secret"]),
        *((taken["name"], taken["key"]) for env in values["apiServer"]["env"] for taken in env["valueFrom"].values()),
    }
    # Airflow finds connections by these names, in a secret that is taken whole.
    (alerts,) = yaml.safe_load(values["extraEnvFrom"])
    names = {f"AIRFLOW_CONN_{name.upper()}" for name in WAYS}
    taken |= {(alerts["secretRef"]["name"], name) for name in names}
    assert taken == made
    job = next(manifest for _, manifest in manifests() if manifest["kind"] == "Job")
    container = job["spec"]["template"]["spec"]["containers"][0]
    reference = container["env"][0]["valueFrom"]["secretKeyRef"]
    assert (reference["name"], reference["key"]) in made
    assert container["image"] == image_of(values)
    assert f"FROM apache/airflow:slim-{values['airflowVersion']}\n" in (ROOT / "Dockerfile").read_text()


def test_no_night_publishes_the_sample_of_the_image() -> None:
    env = yaml.safe_load((DEPLOY / "helm" / "values.yaml").read_text())["env"]
    source = {each["name"]: each["value"] for each in env}["AIRFLOW_VAR_LTV_SOURCE"]
    # Until it is set no bucket has the name: a run that cannot read it fails, with a sentence.
    assert source.startswith("s3://set-me-")


# The chart itself is none of ours: AIRFLOW_CHART names the folder of an unpacked apache-airflow/airflow.

RENDER = """
import json, sys
import helm_python
values = helm_python.values_from_yaml(open(sys.argv[2]).read())
chart = helm_python.Chart.load(sys.argv[1])
chart.validate_schema(values)
print(json.dumps(chart.render(values, name="airflow", namespace="customer-ltv")))
"""


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """Every manifest that the chart makes of our values, the template of a task's pod among them."""
    if not (chart := os.environ.get("AIRFLOW_CHART")):
        pytest.skip("the official chart is not here: AIRFLOW_CHART=<its folder>")
    uv, python = Path(sys.executable).with_name("uv"), tmp_path_factory.mktemp("helm") / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", "--allow-existing", python.parents[1]], check=True)
    lock = ROOT / "requirements" / "helm.txt"
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", lock], check=True)
    command = [python, "-c", RENDER, chart, DEPLOY / "helm" / "values.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    texts = [text for path, text in json.loads(done.stdout).items() if path.endswith(".yaml")]
    made = [manifest for text in texts for manifest in yaml.safe_load_all(text) if manifest]
    (config,) = [each for each in made if each["metadata"]["name"] == "airflow-config"]
    return [*made, yaml.safe_load(config["data"]["pod_template_file.yaml"])]


def pods(manifests: list[dict]) -> Iterator[tuple[dict, list[dict]]]:
    """Every pod's spec, with all its containers."""
    for manifest in manifests:
        if manifest["kind"] in ("Deployment", "StatefulSet", "Job", "Pod"):
            spec = manifest["spec"] if manifest["kind"] == "Pod" else manifest["spec"]["template"]["spec"]
            yield spec, [*(spec.get("initContainers") or []), *spec["containers"]]


def test_the_chart_makes_what_kubernetes_takes(rendered: list[dict]) -> None:
    assert len(rendered) > 20
    for manifest in rendered:
        kubernetes_validate.validate(manifest, "1.33", strict=True)


def test_every_pod_of_the_chart_is_ours_and_may_enter_the_namespace(rendered: list[dict]) -> None:
    """The namespace enforces pod security at its level "restricted"."""
    image = image_of(yaml.safe_load((DEPLOY / "helm" / "values.yaml").read_text()))
    found = list(pods(rendered))
    assert len(found) == 6
    for spec, containers in found:
        security = spec["securityContext"]
        assert (security["runAsNonRoot"], security["seccompProfile"]["type"]) == (True, "RuntimeDefault")
        for container in containers:
            assert container["image"] == image
            security = container["securityContext"]
            assert (security["allowPrivilegeEscalation"], security["capabilities"]) == (False, {"drop": ["ALL"]})


def test_the_chart_opens_no_door_and_gives_the_login_to_one_pod(rendered: list[dict]) -> None:
    assert "Ingress" not in {manifest["kind"] for manifest in rendered}
    assert [made["metadata"]["name"] for made in rendered if made["kind"] == "Job"] == [
        "airflow-run-airflow-migrations"
    ]
    knows_login = [
        container["name"]
        for _, containers in pods(rendered)
        for container in containers
        if "ADMIN_PASSWORD" in str(container.get("env"))
    ]
    assert knows_login == ["api-server"]
    tasks = rendered[-1]["spec"]["containers"][0]
    assert {"secretRef": {"name": "alerts", "optional": True}} in tasks["envFrom"]
    assert {"AIRFLOW_CONN_WAREHOUSE", "AIRFLOW_VAR_LTV_SOURCE"} <= {env["name"] for env in tasks["env"]}
