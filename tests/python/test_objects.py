"""Objects of many groups through the typed and the dynamic client."""

import base64
import json
import unittest

from kubernetes import client, dynamic, utils
from kubernetes.dynamic.exceptions import ConflictError, NotFoundError

from support import ClientTest, config_map

DEPLOYMENT = {
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "nginx:1.27"}]},
        },
    },
}

MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {mode: fast}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: c, image: nginx}]
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}], selector: {app: web}}}
- {apiVersion: batch/v1, kind: CronJob, metadata: {name: night}, spec: {schedule: "5 4 * * *", jobTemplate:
    {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: busybox}]}}}}}}
"""


class Objects(ClientTest):
    def test_a_config_map_lives_and_dies(self):
        made = self.core.create_namespaced_config_map(self.namespace, config_map("c", a="1"))
        self.assertEqual(made.data, {"a": "1"})
        with self.refused(409, "AlreadyExists") as refusal:
            self.core.create_namespaced_config_map(self.namespace, config_map("c"))
        self.assertEqual(refusal.body["message"], 'configmaps "c" already exists')
        self.assertEqual(refusal.body["details"], {"name": "c", "kind": "configmaps"})

        made.data["a"] = "2"
        changed = self.core.replace_namespaced_config_map("c", self.namespace, made)
        with self.refused(409, "Conflict"):
            self.core.replace_namespaced_config_map("c", self.namespace, made)
        self.assertGreater(int(changed.metadata.resource_version), int(made.metadata.resource_version))
        listed = self.core.list_namespaced_config_map(self.namespace, field_selector="metadata.name=c")
        self.assertEqual([one.data for one in listed.items], [{"a": "2"}])
        status = self.core.delete_namespaced_config_map("c", self.namespace)
        self.assertEqual(status.status, "Success")
        with self.refused(404, "NotFound"):
            self.core.read_namespaced_config_map("c", self.namespace)

    def test_an_invalid_object_names_its_fields(self):
        bad = json.loads(json.dumps(DEPLOYMENT))
        bad["spec"]["replicas"] = -1
        bad["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
        with self.refused(422, "Invalid") as refusal:
            self.apps.create_namespaced_deployment(self.namespace, bad)
        fields = [cause["field"] for cause in refusal.body["details"]["causes"]]
        self.assertEqual(fields, ["spec.replicas", "spec.template.metadata.labels"])
        bad = json.loads(json.dumps(DEPLOYMENT))
        bad["spec"]["repilcas"] = 1
        with self.refused(400, "BadRequest") as refusal:
            self.apps.create_namespaced_deployment(self.namespace, bad, field_validation="Strict")
        self.assertIn('unknown field "spec.repilcas"', refusal.body["message"])

    def test_secrets_are_bytes_and_selectors_select(self):
        secret = {"metadata": {"name": "s", "labels": {"tier": "a"}}, "stringData": {"k": "välue"}}
        made = self.core.create_namespaced_secret(self.namespace, secret)
        self.assertEqual(base64.b64decode(made.data["k"]).decode(), "välue")
        self.assertEqual(made.type, "Opaque")
        for selector, count in [("tier=a", 1), ("tier in (a,b)", 1), ("!tier", 0), ("tier notin (a)", 0)]:
            found = self.core.list_namespaced_secret(self.namespace, label_selector=selector)
            self.assertEqual(len(found.items), count, selector)

    def test_a_deployment_is_patched_and_scaled(self):
        self.apps.create_namespaced_deployment(self.namespace, DEPLOYMENT)
        image = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "nginx:1.28"}]}}}}
        patched = self.apps.patch_namespaced_deployment("web", self.namespace, image)
        self.assertEqual(patched.spec.template.spec.containers[0].image, "nginx:1.28")
        steps = [{"op": "replace", "path": "/metadata/labels/app", "value": "site"}]
        patched = self.apps.patch_namespaced_deployment("web", self.namespace, steps)
        self.assertEqual(patched.metadata.labels, {"app": "site"})
        scale = self.apps.read_namespaced_deployment_scale("web", self.namespace)
        self.assertEqual((scale.spec.replicas, scale.status.selector), (2, "app=web"))
        scale.spec.replicas = 4
        self.apps.replace_namespaced_deployment_scale("web", self.namespace, scale)
        self.apps.patch_namespaced_deployment_scale("web", self.namespace, {"spec": {"replicas": 6}})
        self.assertEqual(self.apps.read_namespaced_deployment("web", self.namespace).spec.replicas, 6)
        self.apps.patch_namespaced_deployment_status("web", self.namespace, {"status": {"replicas": 3}})
        shown = self.apps.read_namespaced_deployment_status("web", self.namespace)
        self.assertEqual((shown.spec.replicas, shown.status.replicas), (6, 3))
        with self.refused(422, "Invalid"):
            self.apps.patch_namespaced_deployment_scale("web", self.namespace, {"spec": {"replicas": -1}})

    def test_a_log_of_a_pod_that_runs_nowhere_is_empty(self):
        self.core.create_namespaced_service_account(self.namespace, {"metadata": {"name": "default"}})
        pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        made = self.core.create_namespaced_pod(self.namespace, pod)
        self.assertEqual((made.status.phase, made.status.qos_class), ("Pending", "BestEffort"))
        # The client makes None of an empty text.
        self.assertFalse(self.core.read_namespaced_pod_log("p", self.namespace))

    def test_manifests_are_created_with_utils(self):
        import yaml

        for document in yaml.safe_load_all(MANIFEST):
            utils.create_from_dict(self.api, document, namespace=self.namespace)
        batch = client.BatchV1Api(self.api)
        self.assertEqual(self.core.read_namespaced_config_map("settings", self.namespace).data["mode"], "fast")
        self.assertEqual(self.apps.read_namespaced_deployment("web", self.namespace).spec.replicas, 1)
        self.assertEqual(self.core.read_namespaced_service("web", self.namespace).spec.ports[0].target_port, 80)
        self.assertEqual(batch.read_namespaced_cron_job("night", self.namespace).spec.concurrency_policy, "Allow")
        with self.assertRaises(utils.FailToCreateError) as refusal:
            utils.create_from_yaml(self.api, yaml_objects=list(yaml.safe_load_all(MANIFEST))[:1], namespace=self.namespace)
        self.assertIn("AlreadyExists", str(refusal.exception))

    def test_pages_are_continued(self):
        for number in range(11):
            self.core.create_namespaced_config_map(self.namespace, config_map(f"c{number:02}"))
        seen, token = [], None
        while token != "":
            page = self.core.list_namespaced_config_map(self.namespace, limit=4, _continue=token)
            seen += [one.metadata.name for one in page.items]
            token = page.metadata._continue or ""
        self.assertEqual(seen, [f"c{number:02}" for number in range(11)])
        self.core.delete_collection_namespaced_config_map(self.namespace)
        self.assertEqual(self.core.list_namespaced_config_map(self.namespace).items, [])

    def test_the_dynamic_client_finds_kinds_and_works_them(self):
        dyn = dynamic.DynamicClient(self.api)
        kinds = [kind for kind in dyn.resources.search() if "list" in (getattr(kind, "verbs", None) or [])]
        self.assertGreater(len(kinds), 50)
        deployments = dyn.resources.get(api_version="apps/v1", kind="Deployment")
        made = deployments.create(body=DEPLOYMENT, namespace=self.namespace)
        self.assertEqual(made.spec.strategy.type, "RollingUpdate")
        patched = deployments.patch(
            name="web",
            namespace=self.namespace,
            body={"metadata": {"annotations": {"a": "b"}}},
            content_type="application/merge-patch+json",
        )
        self.assertEqual(patched.metadata.annotations.a, "b")
        stale = made.to_dict()
        stale["spec"]["replicas"] = 9
        with self.assertRaises(ConflictError):
            deployments.replace(body=stale, namespace=self.namespace)
        self.assertEqual(deployments.scale.get(name="web", namespace=self.namespace).spec.replicas, 2)
        listed = deployments.get(namespace=self.namespace, label_selector="app=web")
        self.assertEqual([one.metadata.name for one in listed.items], ["web"])
        deployments.delete(name="web", namespace=self.namespace)
        with self.assertRaises(NotFoundError):
            deployments.get(name="web", namespace=self.namespace)


if __name__ == "__main__":
    unittest.main()
