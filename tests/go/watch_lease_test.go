package mainstay

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// next returns the next events of a watch.
func next(t *testing.T, ctx context.Context, watch clientv3.WatchChan) []*clientv3.Event {
	t.Helper()
	for {
		select {
		case response, open := <-watch:
			if !open {
				t.Fatal("the watch channel is closed")
			}
			check(t, response.Err())
			if len(response.Events) > 0 {
				return response.Events
			}
		case <-ctx.Done():
			t.Fatal("no event in time")
		}
	}
}

func TestWatch(t *testing.T) {
	c, ctx, p := client(t)
	put, err := c.Put(ctx, p+"a", "1")
	check(t, err)
	watch := c.Watch(ctx, p, clientv3.WithPrefix(), clientv3.WithRev(put.Header.Revision), clientv3.WithPrevKV())
	_, err = c.Put(ctx, p+"a", "2")
	check(t, err)
	_, err = c.Delete(ctx, p+"a")
	check(t, err)
	told := ""
	for count := 0; count < 3; {
		for _, event := range next(t, ctx, watch) {
			previous := ""
			if event.PrevKv != nil {
				previous = string(event.PrevKv.Value)
			}
			told += fmt.Sprintf("%s %s<%s;", event.Type, event.Kv.Value, previous)
			count++
		}
	}
	equal(t, told, "PUT 1<;PUT 2<1;DELETE <2;", "events")
}

func TestWatchProgress(t *testing.T) {
	c, ctx, p := client(t)
	watch := c.Watch(ctx, p+"a", clientv3.WithCreatedNotify())
	created := <-watch
	equal(t, created.Created, true, "created")
	for {
		check(t, c.RequestProgress(ctx))
		select {
		case response := <-watch:
			equal(t, response.IsProgressNotify(), true, "progress")
			return
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("no progress in time")
		}
	}
}

func TestManyWatchesOnOneStream(t *testing.T) {
	c, ctx, p := client(t)
	var watches []clientv3.WatchChan
	put, err := c.Put(ctx, p+"start", "")
	check(t, err)
	for index := range 100 {
		key := fmt.Sprintf("%s%d", p, index)
		watches = append(watches, c.Watch(ctx, key, clientv3.WithRev(put.Header.Revision+1)))
	}
	for index := range watches {
		_, err := c.Put(ctx, fmt.Sprintf("%s%d", p, index), "v")
		check(t, err)
	}
	for index, watch := range watches {
		events := next(t, ctx, watch)
		equal(t, string(events[0].Kv.Key), fmt.Sprintf("%s%d", p, index), "key")
	}
}

func TestLease(t *testing.T) {
	c, ctx, p := client(t)
	lease, err := c.Grant(ctx, 60)
	check(t, err)
	_, err = c.Put(ctx, p+"k", "v", clientv3.WithLease(lease.ID))
	check(t, err)
	once, err := c.KeepAliveOnce(ctx, lease.ID)
	check(t, err)
	equal(t, once.TTL, 60, "renewed")
	info, err := c.TimeToLive(ctx, lease.ID, clientv3.WithAttachedKeys())
	check(t, err)
	equal(t, fmt.Sprintf("%s", info.Keys), fmt.Sprintf("[%sk]", p), "keys")
	leases, err := c.Leases(ctx)
	check(t, err)
	found := false
	for _, status := range leases.Leases {
		found = found || status.ID == lease.ID
	}
	equal(t, found, true, "listed")
	_, err = c.Revoke(ctx, lease.ID)
	check(t, err)
	get, err := c.Get(ctx, p+"k")
	check(t, err)
	equal(t, get.Count, 0, "keys after the revocation")
	_, err = c.KeepAliveOnce(ctx, lease.ID)
	if !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		t.Fatalf("keep-alive of a revoked lease: %v", err)
	}
	_, err = c.Put(ctx, p+"k", "v", clientv3.WithLease(lease.ID))
	if !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		t.Fatalf("put with a revoked lease: %v", err)
	}
}
