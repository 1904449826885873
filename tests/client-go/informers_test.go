package clientgo

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	clientfeatures "k8s.io/client-go/features"
	featurestesting "k8s.io/client-go/features/testing"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// judge is told what a shared informer tells its handlers, and notes what cannot be.
type judge struct {
	sync.Mutex
	held     map[string]metav1.Object
	events   int
	mistakes []string
}

func version(t metav1.Object) int64 {
	version, err := strconv.ParseInt(t.GetResourceVersion(), 10, 64)
	if err != nil {
		return -1
	}
	return version
}

func (j *judge) told(what string, object any, exists bool) {
	j.Lock()
	defer j.Unlock()
	j.events++
	if lost, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = lost.Obj
	}
	meta := object.(metav1.Object)
	before, known := j.held[meta.GetName()]
	switch {
	case what == "added" && known, what != "added" && !known:
		j.mistakes = append(j.mistakes, fmt.Sprintf("%s %s: known is %v", what, meta.GetName(), known))
	case known && version(meta) < version(before):
		j.mistakes = append(j.mistakes, fmt.Sprintf("%s %s: %d after %d", what, meta.GetName(), version(meta), version(before)))
	}
	if exists {
		j.held[meta.GetName()] = meta
	} else {
		delete(j.held, meta.GetName())
	}
}

func (j *judge) handler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { j.told("added", object, true) },
		UpdateFunc: func(_, object any) { j.told("updated", object, true) },
		DeleteFunc: func(object any) { j.told("deleted", object, false) },
	}
}

func (j *judge) versions() map[string]int64 {
	j.Lock()
	defer j.Unlock()
	versions := map[string]int64{}
	for name, meta := range j.held {
		versions[name] = version(meta)
	}
	return versions
}

func (j *judge) count() int {
	j.Lock()
	defer j.Unlock()
	return j.events
}

// writes is how many changes a round has.
const writes = 20

// write makes a round of changes, each until it succeeds.
func write(ctx context.Context, t *testing.T, c kubernetes.Interface, namespace string, round int) {
	t.Helper()
	api := c.CoreV1().ConfigMaps(namespace)
	for number := range writes {
		name := fmt.Sprintf("w%d", number%7)
		data := map[string]string{"round": fmt.Sprint(round, number)}
		eventually(t, "write "+name, func() bool {
			if number%11 == 10 {
				err := api.Delete(ctx, name, metav1.DeleteOptions{})
				return err == nil || apierrors.IsNotFound(err)
			}
			_, err := api.Update(ctx, configMap(name, data), metav1.UpdateOptions{})
			if apierrors.IsNotFound(err) {
				_, err = api.Create(ctx, configMap(name, data), metav1.CreateOptions{})
			}
			return err == nil
		})
	}
}

func newest(ctx context.Context, t *testing.T, c kubernetes.Interface, namespace string) map[string]int64 {
	t.Helper()
	versions := map[string]int64{}
	eventually(t, "a list", func() bool {
		list, err := c.CoreV1().ConfigMaps(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false
		}
		for _, one := range list.Items {
			versions[one.Name] = version(&one)
		}
		return true
	})
	return versions
}

// Informers of both kinds are level after each of the things that happen to servers, and were told nothing that cannot be.
func TestInformers(t *testing.T) {
	for _, watchList := range []bool{true, false} {
		t.Run(fmt.Sprintf("WatchList=%v", watchList), func(t *testing.T) {
			featurestesting.SetFeatureDuringTest(t, clientfeatures.WatchListClient, watchList)
			c, ctx, namespace := client(t)
			write(ctx, t, c, namespace, 0)

			factory := informers.NewSharedInformerFactoryWithOptions(c, 0, informers.WithNamespace(namespace))
			typed := &judge{held: map[string]metav1.Object{}}
			informer := factory.Core().V1().ConfigMaps().Informer()
			_, err := informer.AddEventHandler(typed.handler())
			check(t, err)
			lister := factory.Core().V1().ConfigMaps().Lister()

			d, err := dynamic.NewForConfig(config(t))
			check(t, err)
			dynamics := dynamicinformer.NewFilteredDynamicSharedInformerFactory(d, 0, namespace, nil)
			untyped := &judge{held: map[string]metav1.Object{}}
			maps_ := schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
			_, err = dynamics.ForResource(maps_).Informer().AddEventHandler(untyped.handler())
			check(t, err)

			ctx, cancel := context.WithCancel(ctx)
			defer factory.Shutdown()
			defer dynamics.Shutdown()
			defer cancel()
			factory.Start(ctx.Done())
			dynamics.Start(ctx.Done())
			for kind, ok := range factory.WaitForCacheSync(ctx.Done()) {
				if !ok {
					t.Fatalf("%v is not synced", kind)
				}
			}
			dynamics.WaitForCacheSync(ctx.Done())

			level := func() {
				t.Helper()
				want := newest(ctx, t, c, namespace)
				eventually(t, "informers are level", func() bool {
					return maps.Equal(typed.versions(), want) && maps.Equal(untyped.versions(), want)
				})
				listed, err := lister.ConfigMaps(namespace).List(labels.Everything())
				check(t, err)
				if len(listed) != len(want) {
					t.Fatalf("the lister has %d of %d", len(listed), len(want))
				}
			}
			level()
			judges := map[string]*judge{"typed": typed, "untyped": untyped}
			// client-go waits longer after each refused connection: not too often. It lists again by itself when a
			// connection breaks, but not when a watch ends in good order.
			for round, happening := range []struct {
				requests []string
				keeps    bool
			}{
				{[]string{}, true},
				{[]string{"terminate", "start"}, os.Getenv("MAINSTAY_RESUMES") == "true"},
				{[]string{"switch"}, false},
				{[]string{"kill", "compact", "start"}, false},
			} {
				if slices.Contains(happening.requests, "compact") && watchList {
					// The other form still needs the history.
					continue
				}
				before := map[string]int{"typed": typed.count(), "untyped": untyped.count()}
				control(t, happening.requests...)
				write(ctx, t, c, namespace, round+1)
				level()
				for name, judge := range judges {
					// Where the history is there, each write is told; a new list would tell less.
					if told := judge.count() - before[name]; happening.keeps && told < writes {
						t.Errorf("%v: %s was told %d of %d writes", happening.requests, name, told, writes)
					}
				}
			}
			for name, judge := range judges {
				if len(judge.mistakes) > 0 {
					t.Errorf("%s: %v", name, judge.mistakes)
				}
			}
		})
	}
}

// An informer that selects is told of objects that come into view and leave it.
func TestSelectedInformer(t *testing.T) {
	c, ctx, namespace := client(t)
	selected := informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = "on=yes" })
	factory := informers.NewSharedInformerFactoryWithOptions(c, 0, informers.WithNamespace(namespace), selected)
	seen := &judge{held: map[string]metav1.Object{}}
	_, err := factory.Core().V1().ConfigMaps().Informer().AddEventHandler(seen.handler())
	check(t, err)
	ctx, cancel := context.WithCancel(ctx)
	defer factory.Shutdown()
	defer cancel()
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	one := configMap("c", nil)
	api := c.CoreV1().ConfigMaps(namespace)
	_, err = api.Create(ctx, one, metav1.CreateOptions{})
	check(t, err)
	for _, label := range []string{"yes", "no", "yes"} {
		one.Labels = map[string]string{"on": label}
		var now *corev1.ConfigMap
		now, err = api.Update(ctx, one, metav1.UpdateOptions{})
		check(t, err)
		eventually(t, "it is "+label, func() bool {
			versions := seen.versions()
			if label == "no" {
				return len(versions) == 0
			}
			return versions["c"] == version(now)
		})
	}
	if len(seen.mistakes) > 0 {
		t.Error(seen.mistakes)
	}
}
