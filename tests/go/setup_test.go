// Package mainstay drives the store with etcd's official Go client.
//
// The cluster is started by the Rust harness (`cargo test --release -p mainstay-tests --test go_client`), which passes
// its endpoints and the address of a control socket through which these tests kill and restart members.
package mainstay

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	// patience bounds every wait in these tests.
	patience = 40 * time.Second
	// callPatience bounds a call that may meet a dead member and is then repeated.
	callPatience = 3 * time.Second
)

func endpoints(t *testing.T) []string {
	t.Helper()
	list := os.Getenv("MAINSTAY_ENDPOINTS")
	if list == "" {
		t.Skip("MAINSTAY_ENDPOINTS is not set: run these tests through cargo")
	}
	return strings.Split(list, ",")
}

func connect(t *testing.T, config clientv3.Config) *clientv3.Client {
	t.Helper()
	config.Endpoints = endpoints(t)
	config.DialTimeout = 5 * time.Second
	config.Logger = zap.NewNop()
	client, err := clientv3.New(config)
	check(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

// client returns a client of the whole cluster and a context that ends with the test's patience. Keys of the test start
// with the returned prefix, under which nothing exists.
func client(t *testing.T) (*clientv3.Client, context.Context, string) {
	t.Helper()
	c := connect(t, clientv3.Config{})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return c, ctx, t.Name() + "/"
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, got, want T, what string) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// eventually repeats a call until it succeeds.
func eventually(t *testing.T, what string, call func(ctx context.Context) error) {
	t.Helper()
	end := time.Now().Add(patience)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), callPatience)
		err := call(ctx)
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// control asks the harness to do something to the cluster.
func control(t *testing.T, format string, args ...any) string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", os.Getenv("MAINSTAY_CONTROL"), patience)
	check(t, err)
	defer conn.Close()
	check(t, conn.SetDeadline(time.Now().Add(2*patience)))
	_, err = fmt.Fprintf(conn, format+"\n", args...)
	check(t, err)
	answer, err := bufio.NewReader(conn).ReadString('\n')
	check(t, err)
	answer = strings.TrimSpace(answer)
	if strings.HasPrefix(answer, "error") {
		t.Fatal(answer)
	}
	return answer
}

func leader(t *testing.T) int {
	t.Helper()
	index, err := strconv.Atoi(control(t, "leader"))
	check(t, err)
	return index
}
