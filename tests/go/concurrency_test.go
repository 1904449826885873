package mainstay

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

func session(t *testing.T, c *clientv3.Client, ttl int) *concurrency.Session {
	t.Helper()
	s, err := concurrency.NewSession(c, concurrency.WithTTL(ttl))
	check(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestMutex(t *testing.T) {
	c, ctx, p := client(t)
	inside, counter := 0, 0
	var group sync.WaitGroup
	for range 8 {
		s := session(t, c, 30)
		group.Add(1)
		go func() {
			defer group.Done()
			for range 5 {
				mutex := concurrency.NewMutex(s, p+"lock")
				if err := mutex.Lock(ctx); err != nil {
					t.Error(err)
					return
				}
				inside++
				if inside != 1 {
					t.Error("two holders of the lock")
				}
				counter++
				inside--
				if err := mutex.Unlock(ctx); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	group.Wait()
	equal(t, counter, 40, "critical sections")

	held := concurrency.NewMutex(session(t, c, 30), p+"try")
	check(t, held.Lock(ctx))
	err := concurrency.NewMutex(session(t, c, 30), p+"try").TryLock(ctx)
	if !errors.Is(err, concurrency.ErrLocked) {
		t.Fatalf("locked twice: %v", err)
	}
}

func TestElection(t *testing.T) {
	c, ctx, p := client(t)
	first, second := session(t, c, 30), session(t, c, 30)
	one, two := concurrency.NewElection(first, p+"e"), concurrency.NewElection(second, p+"e")
	check(t, one.Campaign(ctx, "one"))
	observed := two.Observe(ctx)
	equal(t, string((<-observed).Kvs[0].Value), "one", "observed leader")
	elected := make(chan error, 1)
	go func() { elected <- two.Campaign(ctx, "two") }()
	check(t, one.Proclaim(ctx, "one again"))
	equal(t, string((<-observed).Kvs[0].Value), "one again", "proclaimed value")
	check(t, one.Resign(ctx))
	check(t, <-elected)
	equal(t, string((<-observed).Kvs[0].Value), "two", "next leader")
	got, err := one.Leader(ctx)
	check(t, err)
	equal(t, string(got.Kvs[0].Value), "two", "leader")
	// A session that ends gives its leadership up.
	check(t, second.Close())
	_, err = one.Leader(ctx)
	if !errors.Is(err, concurrency.ErrElectionNoLeader) {
		t.Fatalf("leader after the session's end: %v", err)
	}
}

func TestSTM(t *testing.T) {
	c, ctx, p := client(t)
	// One member only: later reads of a snapshot are serializable at the revision of the first, which another
	// member may not have reached.
	c.SetEndpoints(endpoints(t)[0])
	const accounts, transfers, workers = 5, 20, 6
	for account := range accounts {
		_, err := c.Put(ctx, fmt.Sprint(p, account), "100")
		check(t, err)
	}
	var group sync.WaitGroup
	for worker := range workers {
		group.Add(1)
		go func() {
			defer group.Done()
			for transfer := range transfers {
				from := fmt.Sprint(p, (worker+transfer)%accounts)
				to := fmt.Sprint(p, (worker+2*transfer+1)%accounts)
				if err := move(ctx, c, from, to); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	group.Wait()
	get, err := c.Get(ctx, p, clientv3.WithPrefix())
	check(t, err)
	sum := 0
	for _, kv := range get.Kvs {
		amount, err := strconv.Atoi(string(kv.Value))
		check(t, err)
		sum += amount
	}
	equal(t, sum, accounts*100, "money")
}

func move(ctx context.Context, c *clientv3.Client, from, to string) error {
	if from == to {
		return nil
	}
	_, err := concurrency.NewSTM(c, func(stm concurrency.STM) error {
		source, err := strconv.Atoi(stm.Get(from))
		if err != nil {
			return err
		}
		target, err := strconv.Atoi(stm.Get(to))
		if err != nil {
			return err
		}
		stm.Put(from, strconv.Itoa(source-1))
		stm.Put(to, strconv.Itoa(target+1))
		return nil
	}, concurrency.WithAbortContext(ctx), concurrency.WithIsolation(concurrency.SerializableSnapshot))
	return err
}
