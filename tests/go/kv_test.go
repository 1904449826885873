package mainstay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestKV(t *testing.T) {
	c, ctx, p := client(t)
	put, err := c.Put(ctx, p+"a", "1")
	check(t, err)
	first := put.Header.Revision
	put, err = c.Put(ctx, p+"a", "2", clientv3.WithPrevKV())
	check(t, err)
	equal(t, string(put.PrevKv.Value), "1", "previous value")
	_, err = c.Put(ctx, p+"b", "3")
	check(t, err)

	get, err := c.Get(ctx, p, clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend))
	check(t, err)
	equal(t, len(get.Kvs), 2, "keys")
	equal(t, string(get.Kvs[0].Key), p+"b", "last key")
	get, err = c.Get(ctx, p+"a", clientv3.WithRev(first))
	check(t, err)
	equal(t, string(get.Kvs[0].Value), "1", "old value")
	get, err = c.Get(ctx, p, clientv3.WithPrefix(), clientv3.WithLimit(1), clientv3.WithSerializable())
	check(t, err)
	equal(t, fmt.Sprint(len(get.Kvs), get.Count, get.More), "1 2 true", "limited")
	get, err = c.Get(ctx, p, clientv3.WithLastRev()...)
	check(t, err)
	equal(t, string(get.Kvs[0].Key), p+"b", "most recent key")

	del, err := c.Delete(ctx, p, clientv3.WithPrefix(), clientv3.WithPrevKV())
	check(t, err)
	equal(t, fmt.Sprint(del.Deleted, len(del.PrevKvs)), "2 2", "deleted")
	_, err = c.Get(ctx, p+"a", clientv3.WithRev(del.Header.Revision+1000000))
	if !errors.Is(err, rpctypes.ErrFutureRev) {
		t.Fatalf("future revision: %v", err)
	}
	_, err = c.Put(ctx, "", "x")
	if !errors.Is(err, rpctypes.ErrEmptyKey) {
		t.Fatalf("empty key: %v", err)
	}
	_, err = c.Put(ctx, p+"large", strings.Repeat("v", 1600*1024))
	if !errors.Is(err, rpctypes.ErrRequestTooLarge) {
		t.Fatalf("large value: %v", err)
	}
}

func TestTxn(t *testing.T) {
	c, ctx, p := client(t)
	txn := func() *clientv3.TxnResponse {
		response, err := c.Txn(ctx).
			If(clientv3.Compare(clientv3.CreateRevision(p+"a"), "=", 0)).
			Then(
				clientv3.OpPut(p+"a", "1"),
				clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpPut(p+"b", "2")}, nil),
				clientv3.OpGet(p, clientv3.WithPrefix()),
			).
			Else(clientv3.OpGet(p+"a"), clientv3.OpDelete(p+"b")).
			Commit()
		check(t, err)
		return response
	}
	first := txn()
	equal(t, first.Succeeded, true, "first")
	equal(t, len(first.Responses[2].GetResponseRange().Kvs), 2, "keys seen inside")
	second := txn()
	equal(t, second.Succeeded, false, "second")
	equal(t, second.Responses[1].GetResponseDeleteRange().Deleted, 1, "deleted")
	_, err := c.Txn(ctx).Then(clientv3.OpPut(p+"x", "1"), clientv3.OpPut(p+"x", "2")).Commit()
	if !errors.Is(err, rpctypes.ErrDuplicateKey) {
		t.Fatalf("duplicate key: %v", err)
	}
}

func TestGetStream(t *testing.T) {
	c, ctx, p := client(t)
	for index := range 500 {
		_, err := c.Put(ctx, fmt.Sprintf("%s%04d", p, index), strings.Repeat("v", 2000))
		check(t, err)
	}
	stream, err := c.GetStream(ctx, p, clientv3.WithPrefix())
	check(t, err)
	keys := 0
	for result := range stream {
		if err := result.Err(); err != nil {
			if strings.Contains(err.Error(), "unknown method") {
				t.Skip("the server has no RangeStream")
			}
			t.Fatal(err)
		}
		keys += len(result.RangeResponse.Kvs)
	}
	equal(t, keys, 500, "streamed keys")
}

func TestMaintenanceAndCluster(t *testing.T) {
	c, ctx, p := client(t)
	_, err := c.Put(ctx, p+"k", "v")
	check(t, err)
	members, err := c.MemberList(ctx)
	check(t, err)
	equal(t, len(members.Members), len(endpoints(t)), "members")
	revision := int64(0)
	hashes := map[uint32]bool{}
	for _, endpoint := range endpoints(t) {
		status, err := c.Status(ctx, endpoint)
		check(t, err)
		if status.Leader == 0 || status.Version == "" || status.DbSize == 0 {
			t.Fatalf("status of %s: %v", endpoint, status)
		}
		if revision == 0 {
			revision = status.Header.Revision
		}
		eventually(t, "hash of the same revision", func(ctx context.Context) error {
			hash, err := c.HashKV(ctx, endpoint, revision)
			if err == nil {
				hashes[hash.Hash] = true
			}
			return err
		})
		_, err = c.Defragment(ctx, endpoint)
		check(t, err)
	}
	equal(t, len(hashes), 1, "different hashes")
	alarms, err := c.AlarmList(ctx)
	check(t, err)
	equal(t, len(alarms.Alarms), 0, "alarms")
	check(t, c.Sync(ctx))
	equal(t, len(c.Endpoints()), len(endpoints(t)), "endpoints after sync")
}
