"""Watches through restarts of the serving server, another server, and lost history."""

import threading
import unittest

from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.informer import SharedInformer

from support import ClientTest, config_map, control, eventually, wait_until

# Writes between two events.
WRITES = 25


class Follower(threading.Thread):
    """A loop of list and watch, as controllers write it: goes on from the last version, lists again after 410."""

    def __init__(self, core, namespace):
        super().__init__(daemon=True)
        self.core, self.namespace = core, namespace
        self.objects, self.seen, self.lists, self.ended = {}, [], 0, False
        self.version = None

    def run(self):
        while not self.ended:
            try:
                if self.version is None:
                    listed = self.core.list_namespaced_config_map(self.namespace)
                    self.objects = {one.metadata.name: one.metadata.resource_version for one in listed.items}
                    self.version, self.lists = listed.metadata.resource_version, self.lists + 1
                self.follow()
            except ApiException as error:
                if error.status == 410:
                    self.version = None
            except Exception:  # Whatever the layers below make of a lost connection.
                pass

    def follow(self):
        stream = watch.Watch().stream(
            self.core.list_namespaced_config_map,
            self.namespace,
            resource_version=self.version,
            allow_watch_bookmarks=True,
            timeout_seconds=2,
        )
        for event in stream:
            if event["type"] == "BOOKMARK":
                self.version = event["raw_object"]["metadata"]["resourceVersion"]
                continue
            metadata = event["object"].metadata
            self.version = metadata.resource_version
            self.seen.append((event["type"], metadata.name, int(metadata.resource_version)))
            if event["type"] == "DELETED":
                del self.objects[metadata.name]
            else:
                self.objects[metadata.name] = metadata.resource_version


class Watching(ClientTest):
    def write(self, round_, core=None):
        """Each write succeeds once; gives the versions."""
        core = core or self.core
        written = []
        for number in range(WRITES):
            name = f"w{number % 7}"
            body = {"data": {"round": f"{round_}-{number}"}}
            try:
                call = lambda: core.patch_namespaced_config_map(name, self.namespace, body)
                made = eventually(f"patch {name}", call)
            except ApiException as error:
                self.assertEqual(error.status, 404)
                call = lambda: core.create_namespaced_config_map(self.namespace, config_map(name, round=str(round_)))
                made = eventually(f"create {name}", call)
            written.append((name, int(made.metadata.resource_version)))
        return written

    def newest(self):
        listed = eventually("a list", lambda: self.core.list_namespaced_config_map(self.namespace))
        return {one.metadata.name: one.metadata.resource_version for one in listed.items}

    def check(self, follower, written):
        """No version came twice or out of order; none of `written` is missing if nothing was listed again."""
        by_name = {}
        for _, name, version in follower.seen:
            self.assertGreater(version, by_name.get(name, 0), f"{name} went back or came twice")
            by_name[name] = version
        if follower.lists == 1:
            missing = set(written) - {(name, version) for _, name, version in follower.seen}
            self.assertEqual(missing, set())

    def test_a_watch_goes_on_through_restarts_and_another_server(self):
        follower = Follower(client.CoreV1Api(self.api), self.namespace)
        follower.start()
        wait_until("the first list", lambda: follower.lists)
        written = self.write(0)
        for round_, what in enumerate([["terminate", "start"], ["kill", "start"], ["switch"], ["switch"]], 1):
            wait_until("all is told", lambda: follower.objects == self.newest())
            control(*what)
            written += self.write(round_)
            eventually("deleted", lambda: self.core.delete_namespaced_config_map("w3", self.namespace))
        newest = self.newest()
        self.assertEqual(len(newest), 6)
        wait_until("all is told", lambda: follower.objects == newest)
        follower.ended = True
        self.check(follower, written)

    def test_lost_history_ends_in_410_and_a_new_list(self):
        self.write(0)
        old = self.core.list_namespaced_config_map(self.namespace).metadata.resource_version
        follower = Follower(client.CoreV1Api(self.api), self.namespace)
        follower.start()
        wait_until("the first list", lambda: follower.lists)
        control("kill", "switch")
        self.write(1)
        control("switch", "compact", "start")
        with self.assertRaises(ApiException) as gone:
            for _ in watch.Watch().stream(
                self.core.list_namespaced_config_map, self.namespace, resource_version=old, timeout_seconds=5
            ):
                self.fail("nothing can follow a version that is gone")
        self.assertEqual(gone.exception.status, 410)
        self.write(2)
        newest = self.newest()
        wait_until("all is told", lambda: follower.objects == newest)
        follower.ended = True
        self.assertGreaterEqual(follower.lists, 1)
        self.check(follower, [])

    def test_a_shared_informer_is_level_after_restarts(self):
        informer = SharedInformer(client.CoreV1Api(self.api).list_namespaced_config_map, namespace=self.namespace)
        added, deleted = [], []
        informer.add_event_handler("ADDED", lambda one: added.append(one.metadata.name))
        informer.add_event_handler("DELETED", lambda one: deleted.append(one.metadata.name))
        informer.start()

        def level():
            newest = self.newest()
            held = {one.metadata.name: one.metadata.resource_version for one in informer.cache.list()}
            return held == newest and newest

        self.write(0)
        wait_until("the cache is level", level)
        for round_, what in enumerate([["terminate", "start"], ["kill", "start"]], 1):
            control(*what)
            self.write(round_)
            wait_until("the cache is level", level)
        self.core.delete_namespaced_config_map("w0", self.namespace)
        wait_until("the deletion is told", lambda: deleted == ["w0"])
        self.assertEqual(sorted(added), [f"w{number}" for number in range(7)])

    def test_a_watch_tells_selected_transitions(self):
        version = self.core.list_namespaced_config_map(self.namespace).metadata.resource_version
        made = config_map("c", k="1")
        made["metadata"]["labels"] = {"on": "yes"}
        self.core.create_namespaced_config_map(self.namespace, made)
        for label in ["no", "yes"]:
            body = {"metadata": {"labels": {"on": label}}}
            self.core.patch_namespaced_config_map("c", self.namespace, body)
        self.core.delete_namespaced_config_map("c", self.namespace)
        told = []
        watching = watch.Watch()
        for event in watching.stream(
            self.core.list_namespaced_config_map,
            self.namespace,
            label_selector="on=yes",
            resource_version=version,
            timeout_seconds=20,
        ):
            told.append(event["type"])
            if len(told) == 4:
                watching.stop()
        self.assertEqual(told, ["ADDED", "DELETED", "ADDED", "DELETED"])


if __name__ == "__main__":
    unittest.main()
