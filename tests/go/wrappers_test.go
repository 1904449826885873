package mainstay

import (
	"fmt"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/leasing"
	"go.etcd.io/etcd/client/v3/mirror"
	"go.etcd.io/etcd/client/v3/namespace"
	"go.etcd.io/etcd/client/v3/ordering"
)

func TestMirror(t *testing.T) {
	c, ctx, p := client(t)
	// More than one batch of the syncer's base copy, which holds 1000 keys.
	const keys = 1500
	for start := 0; start < keys; start += 100 {
		var ops []clientv3.Op
		for index := start; index < start+100; index++ {
			ops = append(ops, clientv3.OpPut(fmt.Sprintf("%s%05d", p, index), "v"))
		}
		_, err := c.Txn(ctx).Then(ops...).Commit()
		check(t, err)
	}
	syncer := mirror.NewSyncer(c, p, 0)
	base, failed := syncer.SyncBase(ctx)
	copied := map[string]string{}
	for response := range base {
		for _, kv := range response.Kvs {
			copied[string(kv.Key)] = string(kv.Value)
		}
	}
	check(t, <-failed)
	equal(t, len(copied), keys, "mirrored keys")
	updates := syncer.SyncUpdates(ctx)
	_, err := c.Put(ctx, p+"later", "w")
	check(t, err)
	equal(t, string(next(t, ctx, updates)[0].Kv.Value), "w", "update")
}

func TestNamespace(t *testing.T) {
	c, ctx, p := client(t)
	kv, watcher := namespace.NewKV(c.KV, p), namespace.NewWatcher(c.Watcher, p)
	lease := namespace.NewLease(c.Lease, p)
	put, err := kv.Put(ctx, "k", "1")
	check(t, err)
	watch := watcher.Watch(ctx, "", clientv3.WithPrefix(), clientv3.WithRev(put.Header.Revision))
	_, err = kv.Txn(ctx).If(clientv3.Compare(clientv3.Value("k"), "=", "1")).Then(clientv3.OpPut("l", "2")).Commit()
	check(t, err)
	got, err := c.Get(ctx, p+"l")
	check(t, err)
	equal(t, got.Count, 1, "the prefixed key")
	got, err = kv.Get(ctx, "", clientv3.WithFromKey())
	check(t, err)
	equal(t, got.Count, 2, "keys of the namespace")
	equal(t, string(got.Kvs[0].Key), "k", "key without prefix")
	events := next(t, ctx, watch)
	equal(t, string(events[0].Kv.Key), "k", "event without prefix")
	granted, err := lease.Grant(ctx, 60)
	check(t, err)
	_, err = kv.Put(ctx, "leased", "", clientv3.WithLease(granted.ID))
	check(t, err)
	info, err := lease.TimeToLive(ctx, granted.ID, clientv3.WithAttachedKeys())
	check(t, err)
	equal(t, string(info.Keys[0]), "leased", "attached key without prefix")
}

func TestOrdering(t *testing.T) {
	c, ctx, p := client(t)
	kv := ordering.NewKV(c.KV, ordering.NewOrderViolationSwitchEndpointClosure(c))
	for round := range 100 {
		value := fmt.Sprint(round)
		_, err := c.Put(ctx, p+"k", value)
		check(t, err)
		// Linearizable, so that the wrapper has seen the revision; then serializable from any member.
		_, err = kv.Get(ctx, p+"k")
		check(t, err)
		got, err := kv.Get(ctx, p+"k", clientv3.WithSerializable())
		check(t, err)
		equal(t, string(got.Kvs[0].Value), value, "never older than what was seen")
	}
}

func TestLeasing(t *testing.T) {
	c, ctx, p := client(t)
	one, closeOne, err := leasing.NewKV(c, p+"leases/")
	check(t, err)
	defer closeOne()
	two, closeTwo, err := leasing.NewKV(connect(t, clientv3.Config{}), p+"leases/")
	check(t, err)
	defer closeTwo()
	for round := range 10 {
		value := fmt.Sprint(round)
		_, err = one.Put(ctx, p+"k", value)
		check(t, err)
		for range 3 {
			// The first read takes the key's lease over, the others come from the cache.
			got, err := two.Get(ctx, p+"k")
			check(t, err)
			equal(t, string(got.Kvs[0].Value), value, "cached value")
		}
	}
	response, err := two.Txn(ctx).If(clientv3.Compare(clientv3.Value(p+"k"), "=", "9")).
		Then(clientv3.OpPut(p+"k", "txn")).Commit()
	check(t, err)
	equal(t, response.Succeeded, true, "transaction")
	got, err := one.Get(ctx, p+"k")
	check(t, err)
	equal(t, string(got.Kvs[0].Value), "txn", "value after the transaction")
	_, err = two.Delete(ctx, p+"k")
	check(t, err)
	got, err = one.Get(ctx, p+"k")
	check(t, err)
	equal(t, got.Count, 0, "after the deletion")
}
