package clientgo

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/yaml"
)

const template = `{metadata: {labels: {app: w}}, spec: {restartPolicy: %s, containers: [{name: c, image: i}]}}`

// kinds are twenty kinds that nothing but this test writes, with the least that makes an object of each.
var kinds = []struct{ group, version, resource, kind, rest string }{
	{"", "v1", "configmaps", "ConfigMap", "data: {k: v}"},
	{"", "v1", "secrets", "Secret", "stringData: {k: v}"},
	{"", "v1", "services", "Service", "spec: {ports: [{port: 80}]}"},
	{"", "v1", "serviceaccounts", "ServiceAccount", ""},
	{"", "v1", "limitranges", "LimitRange", "spec: {limits: [{type: PersistentVolumeClaim, max: {storage: 1Gi}}]}"},
	{"", "v1", "replicationcontrollers", "ReplicationController", "spec: {selector: {app: w}, template: " + fmt.Sprintf(template, "Always") + "}"},
	{"", "v1", "podtemplates", "PodTemplate", "template: " + fmt.Sprintf(template, "Always")},
	{"apps", "v1", "deployments", "Deployment", "spec: {selector: {matchLabels: {app: w}}, template: " + fmt.Sprintf(template, "Always") + "}"},
	{"apps", "v1", "replicasets", "ReplicaSet", "spec: {selector: {matchLabels: {app: w}}, template: " + fmt.Sprintf(template, "Always") + "}"},
	{"apps", "v1", "statefulsets", "StatefulSet", "spec: {serviceName: s, selector: {matchLabels: {app: w}}, template: " + fmt.Sprintf(template, "Always") + "}"},
	{"apps", "v1", "daemonsets", "DaemonSet", "spec: {selector: {matchLabels: {app: w}}, template: " + fmt.Sprintf(template, "Always") + "}"},
	{"batch", "v1", "jobs", "Job", "spec: {template: " + fmt.Sprintf(template, "Never") + "}"},
	{"batch", "v1", "cronjobs", "CronJob", "spec: {schedule: '5 4 * * *', jobTemplate: {spec: {template: " + fmt.Sprintf(template, "Never") + "}}}"},
	{"networking.k8s.io", "v1", "ingresses", "Ingress", "spec: {defaultBackend: {service: {name: s, port: {number: 80}}}}"},
	{"networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", "spec: {podSelector: {}}"},
	{"discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", "{addressType: IPv4, endpoints: [{addresses: [10.0.0.1]}]}"},
	{"coordination.k8s.io", "v1", "leases", "Lease", "spec: {holderIdentity: me}"},
	{"rbac.authorization.k8s.io", "v1", "roles", "Role", "rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]"},
	{"rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: r}"},
	{"autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: d}}"},
}

// told is what handlers of an informer were told, in order: what, name and, but for deletions, version.
type told struct {
	sync.Mutex
	all []string
}

func entry(what string, object metav1.Object) string {
	if what == "deleted" {
		return what + " " + object.GetName()
	}
	return what + " " + object.GetName() + " " + object.GetResourceVersion()
}

func (t *told) add(what string, object any) {
	if lost, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = lost.Obj
	}
	t.Lock()
	defer t.Unlock()
	t.all = append(t.all, entry(what, object.(metav1.Object)))
}

func (t *told) since(from int) []string {
	t.Lock()
	defer t.Unlock()
	return slices.Clone(t.all[from:])
}

// kindWriter writes objects of one kind and notes what must be told of it.
type kindWriter struct {
	api        dynamic.ResourceInterface
	apiVersion string
	kind, rest string
	due        []string
}

// round creates an object, changes it twice and deletes the one of the round before: each until it succeeds.
func (w *kindWriter) round(ctx context.Context, t *testing.T, round int) {
	t.Helper()
	name := fmt.Sprintf("r%d", round)
	object := map[string]any{}
	check(t, yaml.Unmarshal([]byte(w.rest), &object))
	object["apiVersion"], object["kind"] = w.apiVersion, w.kind
	object["metadata"] = map[string]any{"name": name}
	until := func(what string, try func() (*unstructured.Unstructured, error)) {
		t.Helper()
		eventually(t, fmt.Sprintf("%s is %s", w.kind, what), func() bool {
			got, err := try()
			if err == nil && got != nil {
				w.due = append(w.due, entry(what, got))
			}
			// What is wrong stays wrong.
			if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
				t.Fatalf("%s is %s: %v", w.kind, what, err)
			}
			return err == nil
		})
	}
	until("added", func() (*unstructured.Unstructured, error) {
		got, err := w.api.Create(ctx, &unstructured.Unstructured{Object: object}, metav1.CreateOptions{})
		// A broken connection may have carried it.
		if apierrors.IsAlreadyExists(err) {
			return w.api.Get(ctx, name, metav1.GetOptions{})
		}
		return got, err
	})
	for _, value := range []string{"x", "y"} {
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"a":"%s"}}}`, value)
		until("updated", func() (*unstructured.Unstructured, error) {
			return w.api.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
		})
	}
	if round == 0 {
		return
	}
	before := fmt.Sprintf("r%d", round-1)
	policy := metav1.DeletePropagationBackground
	until("deleted", func() (*unstructured.Unstructured, error) {
		err := w.api.Delete(ctx, before, metav1.DeleteOptions{PropagationPolicy: &policy})
		if apierrors.IsNotFound(err) {
			err = nil
		}
		return nil, err
	})
	w.due = append(w.due, "deleted "+before)
}

// Informers of twenty kinds are told every write once, in order, through an orderly restart of their server while it
// is written to, and nothing twice through one that breaks their connections.
func TestManyKinds(t *testing.T) {
	_, ctx, namespace := client(t)
	d, err := dynamic.NewForConfig(config(t))
	check(t, err)
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(d, 0, namespace, nil)
	var writers []*kindWriter
	var heard []*told
	for _, kind := range kinds {
		gvr := schema.GroupVersionResource{Group: kind.group, Version: kind.version, Resource: kind.resource}
		log := &told{}
		_, err := factory.ForResource(gvr).Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { log.add("added", object) },
			UpdateFunc: func(_, object any) { log.add("updated", object) },
			DeleteFunc: func(object any) { log.add("deleted", object) },
		})
		check(t, err)
		heard = append(heard, log)
		writers = append(writers, &kindWriter{
			api:        d.Resource(gvr).Namespace(namespace),
			apiVersion: gvr.GroupVersion().String(),
			kind:       kind.kind,
			rest:       kind.rest,
		})
	}
	ctx, cancel := context.WithCancel(ctx)
	defer factory.Shutdown()
	defer cancel()
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())

	resumes := os.Getenv("MAINSTAY_RESUMES") == "true"
	for round, happening := range []struct {
		requests []string
		// Whether watches go on where they were, and so everything is told.
		keeps bool
	}{
		{nil, true},
		{[]string{"terminate", "start"}, resumes},
		{[]string{"kill", "start"}, false},
	} {
		broken := make(chan error, 1)
		go func() { broken <- tryControl(happening.requests...) }()
		from := make([]int, len(kinds))
		for i, writer := range writers {
			from[i] = len(heard[i].since(0))
			writer.due = nil
			writer.round(ctx, t, round)
		}
		check(t, <-broken)
		for i, writer := range writers {
			last := writer.due[len(writer.due)-1]
			what := fmt.Sprintf("%v: an informer of %s is level", happening.requests, writer.kind)
			eventually(t, what, func() bool { return slices.Contains(heard[i].since(from[i]), last) })
			got := heard[i].since(from[i])
			if happening.keeps && !slices.Equal(got, writer.due) {
				t.Errorf("%v: of %s was told %v, not %v", happening.requests, writer.kind, got, writer.due)
			}
			counts := map[string]int{}
			for _, one := range got {
				if counts[one]++; counts[one] > 1 {
					t.Errorf("%v: of %s was told twice: %s", happening.requests, writer.kind, one)
				}
			}
		}
	}
}
