package clientgo

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// candidate runs for leadership until it is stopped; it releases nothing when it stops, as if it were killed.
type candidate struct {
	name    string
	leading atomic.Bool
	stop    context.CancelFunc
	ended   chan struct{}
}

func run(ctx context.Context, t *testing.T, c kubernetes.Interface, namespace, name string, leaders *atomic.Int32, lease time.Duration) *candidate {
	t.Helper()
	ctx, stop := context.WithCancel(ctx)
	one := &candidate{name: name, stop: stop, ended: make(chan struct{})}
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: "leader"},
		Client:     c.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: name},
	}
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:          lock,
		LeaseDuration: lease,
		RenewDeadline: lease * 3 / 4,
		RetryPeriod:   lease / 10,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				if leaders.Add(1) > 1 {
					t.Errorf("%s leads while another does", name)
				}
				one.leading.Store(true)
				<-ctx.Done()
			},
			OnStoppedLeading: func() {
				if one.leading.Swap(false) {
					leaders.Add(-1)
				}
			},
		},
	})
	check(t, err)
	go func() {
		defer close(one.ended)
		elector.Run(ctx)
	}()
	t.Cleanup(func() { one.stop(); <-one.ended })
	return one
}

// One leads at a time; it goes on leading while a server restarts, and when it dies the other follows.
func TestLeaderElection(t *testing.T) {
	c, ctx, namespace := client(t)
	var leaders atomic.Int32
	const lease = 8 * time.Second
	first := run(ctx, t, c, namespace, "first", &leaders, lease)
	eventually(t, "the first leads", first.leading.Load)
	second := run(ctx, t, c, namespace, "second", &leaders, lease)
	leases := c.CoordinationV1().Leases(namespace)
	renewed := func() time.Time {
		held, err := leases.Get(ctx, "leader", metav1.GetOptions{})
		if err != nil || held.Spec.RenewTime == nil {
			return time.Time{}
		}
		return held.Spec.RenewTime.Time
	}
	for _, happening := range [][]string{{"terminate", "start"}, {"kill", "start"}, {"switch"}} {
		control(t, happening...)
		before := time.Now()
		eventually(t, "the lease is renewed", func() bool { return renewed().After(before) })
	}
	if !first.leading.Load() || second.leading.Load() {
		t.Error("leadership was lost in a restart")
	}
	first.stop()
	<-first.ended
	eventually(t, "the second leads", second.leading.Load)
	held, err := leases.Get(ctx, "leader", metav1.GetOptions{})
	check(t, err)
	if *held.Spec.HolderIdentity != "second" || *held.Spec.LeaseTransitions != 1 {
		t.Errorf("%v", held.Spec)
	}
}
