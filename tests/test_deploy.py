"""deploy/: the manifests against Kubernetes' own schemas, and against each other; no cluster runs them."""

from pathlib import Path

import kubernetes_validate
import pytest
import yaml
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
    }
    assert taken == made
    job = next(manifest for _, manifest in manifests() if manifest["kind"] == "Job")
    container = job["spec"]["template"]["spec"]["containers"][0]
    reference = container["env"][0]["valueFrom"]["secretKeyRef"]
    assert (reference["name"], reference["key"]) in made
    image = values["images"]["airflow"]
    assert container["image"] == f"{image['repository']}:{image['tag']}"
    assert f"FROM apache/airflow:slim-{values['airflowVersion']}\n" in (ROOT / "Dockerfile").read_text()
