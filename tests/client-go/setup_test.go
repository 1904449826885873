// Package clientgo drives the apiserver with Kubernetes' own Go client.
//
// The servers are started by the Rust harness (`cargo test --release -p mainstay-tests --test client_go`), which names a
// kubeconfig and the address of a control socket through which these tests break the servers.
package clientgo

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// patience bounds every wait in these tests.
const patience = 60 * time.Second

// config gives an administrator's, without the client's own limit on requests.
func config(t *testing.T) *rest.Config {
	t.Helper()
	path := os.Getenv("MAINSTAY_KUBECONFIG")
	if path == "" {
		t.Skip("MAINSTAY_KUBECONFIG is not set: run these tests through cargo")
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	check(t, err)
	config.QPS = -1
	return config
}

var unnameable = regexp.MustCompile(`[^a-z0-9]+`)

// client returns a client, a context that ends with the test's patience, and the name of a namespace of the test's own.
func client(t *testing.T) (*kubernetes.Clientset, context.Context, string) {
	t.Helper()
	c, err := kubernetes.NewForConfig(config(t))
	check(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	name := strings.Trim(unnameable.ReplaceAllString(strings.ToLower(t.Name()), "-"), "-")
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err = c.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
	check(t, err)
	return c, ctx, name
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually polls until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	end := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// control does something to the serving server, or to the store.
func control(t *testing.T, requests ...string) {
	t.Helper()
	check(t, tryControl(requests...))
}

// tryControl is control for goroutines, which cannot end a test.
func tryControl(requests ...string) error {
	conn, err := net.DialTimeout("tcp", os.Getenv("MAINSTAY_CONTROL"), patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	answers := bufio.NewReader(conn)
	for _, request := range requests {
		if _, err := fmt.Fprintln(conn, request); err != nil {
			return err
		}
		answer, err := answers.ReadString('\n')
		if err != nil {
			return err
		}
		if answer != "ok\n" {
			return fmt.Errorf("%s: %s", request, answer)
		}
	}
	return nil
}

func configMap(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
}
