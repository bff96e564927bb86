"""Renders a Helm chart, lints it and checks the manifests against Kubernetes' own schemas, strictly.

Arguments: the chart's folder, the release's name, values as JSON, and versions of Kubernetes. Prints {manifests, faults} as JSON.
"""

import json
import sys

import yaml
from helm_python import Chart, lint
from kubernetes_validate import validate

# Kinds of other projects, whose schemas are not Kubernetes' own.
FOREIGN = {"keda.sh", "monitoring.coreos.com"}

folder, name, values, *versions = sys.argv[1:]
report = lint(folder, values=json.loads(values))
# Severity 1 is a hint, such as that an icon is recommended.
faults = [message["error"] for message in report["messages"] if message["severity"] > 1]
faults += report["errors"]
manifests = []
for path, text in Chart.load(folder).render(json.loads(values), name=name, namespace="tandem").items():
    if path.endswith(".txt"):
        continue
    for manifest in yaml.safe_load_all(text):
        if manifest is None:
            continue
        manifests.append(manifest)
        if manifest["apiVersion"].split("/")[0] in FOREIGN:
            continue
        for version in versions:
            try:
                validate(manifest, version, strict=True)
            except Exception as error:
                faults.append(f"{path} {manifest['kind']} {version}: {error}")
print(json.dumps({"manifests": manifests, "faults": faults}))
