package mainstay

import (
	"context"
	"fmt"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// rotation kills every member once, the leader first, so that whichever member a stream is on dies. The cluster is
// whole again before `during` returns for the next one.
func rotation(t *testing.T, during func(round int)) {
	t.Helper()
	first, size := leader(t), len(endpoints(t))
	for round := range size {
		member := (first + round) % size
		control(t, "kill %d", member)
		during(round)
		control(t, "start %d", member)
	}
}

func TestEndpointFailOver(t *testing.T) {
	c, _, p := client(t)
	rotation(t, func(round int) {
		for write := range 10 {
			key, value := fmt.Sprintf("%s%d", p, write), fmt.Sprint(round)
			eventually(t, "put", func(ctx context.Context) error {
				_, err := c.Put(ctx, key, value)
				return err
			})
			eventually(t, "get", func(ctx context.Context) error {
				got, err := c.Get(ctx, key)
				if err == nil {
					equal(t, string(got.Kvs[0].Value), value, "value")
				}
				return err
			})
		}
	})
}

func TestWatchResumesOnAnotherMember(t *testing.T) {
	c, _, p := client(t)
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	watch := c.Watch(clientv3.WithRequireLeader(ctx), p, clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	created := <-watch
	equal(t, created.Created, true, "created")
	writer := connect(t, clientv3.Config{})
	last, seen := int64(0), map[string]int{}
	rotation(t, func(round int) {
		for write := range 20 {
			key := fmt.Sprintf("%s%d/%d", p, round, write)
			eventually(t, "put", func(ctx context.Context) error {
				_, err := writer.Put(ctx, key, "v")
				return err
			})
		}
		for seen[fmt.Sprintf("%s%d/19", p, round)] == 0 {
			select {
			case response, open := <-watch:
				if !open || response.Err() != nil {
					// Without a leader the server ends a watch that requires one; going on is up to its owner.
					watch = c.Watch(clientv3.WithRequireLeader(ctx), p, clientv3.WithPrefix(), clientv3.WithRev(last+1))
					continue
				}
				for _, event := range response.Events {
					if event.Kv.ModRevision <= last {
						t.Fatalf("revision %d after %d", event.Kv.ModRevision, last)
					}
					last = event.Kv.ModRevision
					seen[string(event.Kv.Key)]++
				}
			case <-ctx.Done():
				t.Fatalf("round %d: the watch does not go on", round)
			}
		}
	})
	for round := range len(endpoints(t)) {
		for write := range 20 {
			key := fmt.Sprintf("%s%d/%d", p, round, write)
			// A put that was repeated after an unknown outcome may have happened twice.
			if seen[key] == 0 {
				t.Fatalf("no event for %s", key)
			}
		}
	}
}

func TestLeaseKeepAliveThroughDeaths(t *testing.T) {
	c, _, p := client(t)
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	lease, err := c.Grant(ctx, 10)
	check(t, err)
	_, err = c.Put(ctx, p+"k", "v", clientv3.WithLease(lease.ID))
	check(t, err)
	kept, err := c.KeepAlive(ctx, lease.ID)
	check(t, err)
	s, err := concurrency.NewSession(c, concurrency.WithTTL(10))
	check(t, err)
	mutex := concurrency.NewMutex(s, p+"lock")
	check(t, mutex.Lock(ctx))
	rotation(t, func(round int) {
		// Two renewals that came after the death; the ones before it may still be in the channel.
		died := time.Now()
		for fresh := 0; fresh < 2; {
			select {
			case _, open := <-kept:
				if !open {
					t.Fatalf("round %d: the lease was lost", round)
				}
				if time.Since(died) > 500*time.Millisecond {
					fresh++
				}
			case <-s.Done():
				t.Fatalf("round %d: the session was lost", round)
			case <-ctx.Done():
				t.Fatalf("round %d: no renewal", round)
			}
		}
	})
	got, err := c.Get(ctx, p+"k")
	check(t, err)
	equal(t, got.Count, 1, "the leased key")
	check(t, mutex.Unlock(ctx))
	check(t, s.Close())
}
