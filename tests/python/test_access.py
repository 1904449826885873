"""Who one is and what one may: tokens and reviews."""

import os
import unittest

from kubernetes import client, config

from support import ClientTest, wait_until


class Access(ClientTest):
    def as_token(self, token):
        configuration = client.Configuration()
        config.load_kube_config(os.environ["MAINSTAY_KUBECONFIG"], client_configuration=configuration)
        configuration.cert_file = configuration.key_file = None
        configuration.api_key = {"BearerToken": token}
        configuration.api_key_prefix = {"BearerToken": "Bearer"}
        api = client.ApiClient(configuration)
        self.addCleanup(api.close)
        return api

    def test_a_token_is_its_service_account(self):
        self.core.create_namespaced_service_account(self.namespace, {"metadata": {"name": "robot"}})
        request = client.AuthenticationV1TokenRequest(
            spec=client.V1TokenRequestSpec(audiences=None, expiration_seconds=600),
        )
        granted = self.core.create_namespaced_service_account_token("robot", self.namespace, request)
        own = self.as_token(granted.status.token)
        me = client.AuthenticationV1Api(own).create_self_subject_review({})
        self.assertEqual(me.status.user_info.username, f"system:serviceaccount:{self.namespace}:robot")
        self.assertIn("system:serviceaccounts", me.status.user_info.groups)
        with self.refused(403, "Forbidden") as refusal:
            client.CoreV1Api(own).list_namespaced_pod(self.namespace)
        self.assertIn("cannot list resource", refusal.body["message"])

        rbac = client.RbacAuthorizationV1Api(self.api)
        subject = {"kind": "ServiceAccount", "name": "robot", "namespace": self.namespace}
        rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}
        rbac.create_namespaced_role(self.namespace, {"metadata": {"name": "reader"}, "rules": [rule]})
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
        rbac.create_namespaced_role_binding(
            self.namespace, {"metadata": {"name": "b"}, "roleRef": role, "subjects": [subject]}
        )
        reviews = client.AuthorizationV1Api(own)

        def may(verb):
            attributes = client.V1ResourceAttributes(namespace=self.namespace, verb=verb, resource="pods")
            spec = client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes)
            review = client.V1SelfSubjectAccessReview(spec=spec)
            return reviews.create_self_subject_access_review(review).status.allowed

        wait_until("the binding counts", lambda: may("list"))
        self.assertFalse(may("create"))
        self.assertEqual(client.CoreV1Api(own).list_namespaced_pod(self.namespace).items, [])
        spec = client.V1SelfSubjectRulesReviewSpec(namespace=self.namespace)
        rules = reviews.create_self_subject_rules_review(client.V1SelfSubjectRulesReview(spec=spec))
        self.assertTrue(any("pods" in (rule.resources or []) for rule in rules.status.resource_rules))

    def test_a_wrong_token_is_nobody(self):
        with self.refused(401, "Unauthorized"):
            client.CoreV1Api(self.as_token("wrong")).list_namespaced_pod(self.namespace)

    def test_versions_and_groups_are_told(self):
        version = client.VersionApi(self.api).get_code()
        self.assertEqual(version.major, "1")
        groups = {group.name for group in client.ApisApi(self.api).get_api_versions().groups}
        self.assertLessEqual({"apps", "batch", "rbac.authorization.k8s.io"}, groups)
        names = {kind.name for kind in client.CoreV1Api(self.api).get_api_resources().resources}
        self.assertLessEqual({"pods", "pods/eviction", "serviceaccounts/token"}, names)


if __name__ == "__main__":
    unittest.main()
