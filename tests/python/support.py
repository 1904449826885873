"""What the tests of the official Python client share: clients, the control of the servers, waiting.

Two servers and a store are started by the Rust harness (tests/tests/python_client.rs), which names a kubeconfig and the
address of a control socket: a client in another process breaks the servers through it.
"""

import json
import logging
import os
import socket
import time
import unittest

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

# Lost connections are the subject here, not worth a stack trace each.
logging.getLogger("kubernetes.informer.informer").setLevel(logging.CRITICAL)

# Bounds every wait, in seconds.
PATIENCE = 60


class ClientTest(unittest.TestCase):
    """A test with an administrator's client and a namespace of its own."""

    def setUp(self):
        self.api = config.new_client_from_config(os.environ["MAINSTAY_KUBECONFIG"])
        self.addCleanup(self.api.close)
        self.core = client.CoreV1Api(self.api)
        self.apps = client.AppsV1Api(self.api)
        name = self._testMethodName.replace("_", "-")[:60].strip("-")
        self.namespace = self.core.create_namespace({"metadata": {"name": name}}).metadata.name

    def refused(self, status, reason):
        """Checks that the block raises an ApiException with this code and reason, and gives its body."""
        return Refusal(self, status, reason)


class Refusal:
    def __init__(self, test, status, reason):
        self.test, self.status, self.reason, self.body = test, status, reason, None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None and not issubclass(kind, ApiException):
            return False
        self.test.assertIsNotNone(error, "nothing was refused")
        self.test.assertEqual(error.status, self.status, error)
        self.body = json.loads(error.body)
        self.test.assertEqual(self.body["kind"], "Status")
        self.test.assertEqual(self.body["code"], self.status)
        self.test.assertEqual(self.body["reason"], self.reason, self.body)
        return True


def control(*requests):
    """Does something to the serving server, or to the store."""
    address, port = os.environ["MAINSTAY_CONTROL"].rsplit(":", 1)
    with socket.create_connection((address, int(port)), PATIENCE) as connection:
        stream = connection.makefile("rw")
        for request in requests:
            stream.write(request + "\n")
            stream.flush()
            answer = stream.readline().strip()
            if answer != "ok":
                raise AssertionError(f"{request}: {answer}")


def wait_until(what, probe):
    """Polls until `probe` gives something true, and gives it."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = probe()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {PATIENCE} seconds: {what}")


def eventually(what, call):
    """Repeats a call until it neither breaks nor is refused for a passing reason."""

    def attempt():
        try:
            return [call()]
        except ApiException as error:
            if error.status not in (0, 429, 500, 503, 504):
                raise
        except Exception:  # Whatever the layers below make of a lost connection.
            pass
        return None

    return wait_until(what, attempt)[0]


def config_map(name, **data):
    return {"metadata": {"name": name}, "data": data}
