package clientgo

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/pager"
	"k8s.io/client-go/util/retry"
)

// Counters that several change at once lose nothing, through a restart as well.
func TestRetryOnConflict(t *testing.T) {
	const writers, increments = 4, 12
	c, ctx, namespace := client(t)
	api := c.CoreV1().ConfigMaps(namespace)
	_, err := api.Create(ctx, configMap("c", map[string]string{"n": "0"}), metav1.CreateOptions{})
	check(t, err)
	backoff := wait.Backoff{Steps: 200, Duration: 5 * time.Millisecond, Factor: 1, Jitter: 1}
	increment := func() error {
		return retry.RetryOnConflict(backoff, func() error {
			one, err := api.Get(ctx, "c", metav1.GetOptions{})
			if err != nil {
				return err
			}
			var n int
			fmt.Sscan(one.Data["n"], &n)
			one.Data["n"] = fmt.Sprint(n + 1)
			_, err = api.Update(ctx, one, metav1.UpdateOptions{})
			return err
		})
	}
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for range increments {
				if err := increment(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	control(t, "kill", "start")
	eventually(t, "the server serves", func() bool { return increment() == nil })
	one, err := api.Get(ctx, "c", metav1.GetOptions{})
	check(t, err)
	if want := fmt.Sprint(writers*increments + 1); one.Data["n"] != want {
		t.Errorf("counted %s of %s", one.Data["n"], want)
	}
	one.ResourceVersion = "1"
	_, err = api.Update(ctx, one, metav1.UpdateOptions{})
	if !apierrors.IsConflict(err) {
		t.Errorf("expected a conflict: %v", err)
	}
}

// Kinds are found through aggregated discovery, and worked without their types.
func TestMapperAndDynamicClient(t *testing.T) {
	c, ctx, namespace := client(t)
	found, resources, _, err := c.Discovery().(*discovery.DiscoveryClient).GroupsAndMaybeResources()
	check(t, err)
	if len(found.Groups) < 15 || len(resources) < 15 {
		t.Fatalf("%d groups, %d with resources: discovery is not aggregated", len(found.Groups), len(resources))
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.Discovery()))
	expander := restmapper.NewShortcutExpander(mapper, c.Discovery(), func(w string) { t.Log(w) })
	for short, want := range map[string]string{"deploy": "deployments", "po": "pods", "hpa": "horizontalpodautoscalers", "pvc": "persistentvolumeclaims"} {
		got, err := expander.ResourceFor(schema.GroupVersionResource{Resource: short})
		check(t, err)
		if got.Resource != want {
			t.Errorf("%s is %v", short, got)
		}
	}
	mapping, err := mapper.RESTMapping(schema.GroupKind{Group: "apps", Kind: "Deployment"})
	check(t, err)
	d, err := dynamic.NewForConfig(config(t))
	check(t, err)
	api := d.Resource(mapping.Resource).Namespace(namespace)
	pod := map[string]any{
		"metadata": map[string]any{"labels": map[string]any{"a": "b"}},
		"spec":     map[string]any{"containers": []any{map[string]any{"name": "c", "image": "i"}}},
	}
	made, err := api.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{"name": "d"},
		"spec": map[string]any{
			"replicas": int64(2),
			"selector": map[string]any{"matchLabels": map[string]any{"a": "b"}},
			"template": pod,
		},
	}}, metav1.CreateOptions{})
	check(t, err)
	if strategy, _, _ := unstructured.NestedString(made.Object, "spec", "strategy", "type"); strategy != "RollingUpdate" {
		t.Errorf("strategy %q", strategy)
	}

	kinds := scale.NewDiscoveryScaleKindResolver(c.Discovery())
	scales, err := scale.NewForConfig(config(t), mapper, dynamic.LegacyAPIPathResolverFunc, kinds)
	check(t, err)
	current, err := scales.Scales(namespace).Get(ctx, mapping.Resource.GroupResource(), "d", metav1.GetOptions{})
	check(t, err)
	current.Spec.Replicas = 5
	_, err = scales.Scales(namespace).Update(ctx, mapping.Resource.GroupResource(), current, metav1.UpdateOptions{})
	check(t, err)
	m, err := metadata.NewForConfig(config(t))
	check(t, err)
	patch := []byte(`{"metadata":{"labels":{"x":"y"}}}`)
	labelled, err := m.Resource(mapping.Resource).Namespace(namespace).Patch(ctx, "d", types.MergePatchType, patch, metav1.PatchOptions{})
	check(t, err)
	if labelled.Labels["x"] != "y" || labelled.Generation != 2 {
		t.Errorf("%v", labelled)
	}
	check(t, api.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "x=y"}))
	_, err = api.Get(ctx, "d", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("expected it to be gone: %v", err)
	}
}

// A pager sees everything, and begins anew by itself when its history is gone.
func TestPagerThroughLostHistory(t *testing.T) {
	c, ctx, namespace := client(t)
	api := c.CoreV1().ConfigMaps(namespace)
	for n := range 30 {
		_, err := api.Create(ctx, configMap(fmt.Sprintf("c%02d", n), nil), metav1.CreateOptions{})
		check(t, err)
	}
	pages := 0
	p := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		pages++
		if pages == 2 {
			check(t, api.Delete(ctx, "c29", metav1.DeleteOptions{}))
			control(t, "kill", "compact", "start")
		}
		var list *corev1.ConfigMapList
		var err error
		eventually(t, "a page", func() bool {
			list, err = api.List(ctx, options)
			return err == nil || apierrors.IsResourceExpired(err)
		})
		return list, err
	})
	p.PageSize = 7
	listed, _, err := p.List(ctx, metav1.ListOptions{})
	check(t, err)
	// A page, a page that is gone, and then one list of everything.
	if got := len(listed.(*corev1.ConfigMapList).Items); got != 29 || pages != 3 {
		t.Errorf("%d objects after %d pages", got, pages)
	}
}

// Events are recorded, counted as a series, and read through both of their groups.
func TestEventRecorder(t *testing.T) {
	c, ctx, namespace := client(t)
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: c.EventsV1()})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	check(t, broadcaster.StartRecordingToSinkWithContext(ctx))
	defer broadcaster.Shutdown()
	recorder := broadcaster.NewRecorder(scheme.Scheme, "mainstay.dev/test")
	about := configMap("c", nil)
	about.Namespace = namespace
	about, err := c.CoreV1().ConfigMaps(namespace).Create(ctx, about, metav1.CreateOptions{})
	check(t, err)
	recorder.Eventf(about, nil, corev1.EventTypeNormal, "Tried", "Trying", "attempt")
	eventually(t, "the event", func() bool {
		list, err := c.EventsV1().Events(namespace).List(ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) == 1 && list.Items[0].Regarding.Name == "c"
	})
	recorder.Eventf(about, nil, corev1.EventTypeNormal, "Tried", "Trying", "attempt")
	eventually(t, "the series", func() bool {
		list, err := c.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=c,reason=Tried"})
		return err == nil && len(list.Items) == 1 && list.Items[0].Series != nil && list.Items[0].Series.Count == 2
	})
}
