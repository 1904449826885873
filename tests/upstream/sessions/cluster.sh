# Nodes, certificates, documents and kubectl itself.
@file node.yaml
apiVersion: v1
kind: Node
metadata: {name: cn1, labels: {node-role.kubernetes.io/worker: ""}}
@end
@file csr.yaml
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: ccsr}
spec: {signerName: example.com/s, usages: [client auth], request: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIZE1JR0RBZ0VBTUNFeERqQU1CZ05WQkFNTUJXRnNhV05sTVE4d0RRWURWUVFLREFad1pXOXdiR1V3V1RBVApCZ2NxaGtqT1BRSUJCZ2dxaGtqT1BRTUJCd05DQUFUTVRKZW5HNUR6NzE5aFlKbHJoN1I4Wkp6YlhmTCtaU1N3Cjg3Zmwwc2FyOWpMVHB0NjNTN01uQ3E5OHlyeXRwKy9sMGhOWU5VcWQ3a0lnMDM5UmhyM3BvQUF3Q2dZSUtvWkkKemowRUF3SURTUUF3UmdJaEFKeGdpeDZoTGd6dWVXcWM4Q1VNeUJIdmZOQ1JiUFo3RnlWeGNZdGhwNEJKQWlFQQo2R2xLRlEzRUczUlhwVVB2U1Flb1REMWdjOE9XVXlDZ01XRy9zNW4xVlJzPQotLS0tLUVORCBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K}
@end
@file pod.yaml
apiVersion: v1
kind: Pod
metadata: {name: on}
spec: {nodeName: cn1, containers: [{name: c, image: a}]}
@end
kubectl create -f node.yaml
kubectl get nodes cn1
kubectl get nodes cn1 -o wide
kubectl create -f pod.yaml
kubectl describe node cn1
kubectl taint nodes cn1 a=b:NoSchedule
kubectl taint nodes cn1 a=b:NoSchedule
kubectl taint nodes cn1 a=c:Nope
kubectl taint nodes cn1 a=c:NoSchedule --overwrite
kubectl taint nodes cn1 a-
kubectl cordon cn1
kubectl cordon cn1
kubectl get node cn1
kubectl drain cn1 --dry-run=client --force
kubectl drain cn1 --dry-run=server --force
kubectl drain cn1 --force --timeout=2s
kubectl uncordon cn1
kubectl cordon nope
kubectl delete pod on --grace-period=0 --force
kubectl delete node cn1
kubectl create -f csr.yaml
kubectl get csr ccsr
kubectl certificate approve ccsr
kubectl certificate approve ccsr
kubectl certificate deny ccsr
kubectl get csr ccsr
kubectl describe csr ccsr
kubectl delete csr ccsr
kubectl certificate approve nope
kubectl api-versions
kubectl api-resources
kubectl api-resources --namespaced=false -o name
kubectl api-resources --api-group=apps -o wide
kubectl api-resources --verbs=list,get --categories=all
kubectl version -o json | grep -v -i -e date -e commit -e compiler -e goversion -e platform -e gitversion
kubectl cluster-info | sed 's/\x1b\[[0-9;]*m//g'
kubectl explain pod 2>&1 | grep -E '^[A-Z]|	<|^  enum|rror'
kubectl explain pod --recursive 2>&1 | sed '/^DESCRIPTION/,/^FIELDS/d'
kubectl explain deployment.spec.strategy 2>&1 | grep -E '^[A-Z]|	<|^  enum|rror'
kubectl explain deployment.spec --recursive 2>&1 | sed '/^DESCRIPTION/,/^FIELDS/d'
kubectl explain svc.spec.ports 2>&1 | grep -E '^[A-Z]|	<|^  enum|rror'
kubectl explain hpa --api-version=autoscaling/v1 --recursive 2>&1 | sed '/^DESCRIPTION/,/^FIELDS/d'
kubectl explain pod.spec.nope 2>&1 | grep -E '^[A-Z]|	<|^  enum|rror'
kubectl explain nope 2>&1 | grep -E '^[A-Z]|	<|^  enum|rror'
kubectl explain ingress.spec.rules.http.paths.backend 2>&1 | grep -E '^[A-Z]|	<|^  enum|rror'
kubectl explain cronjob.spec.jobTemplate.spec.podFailurePolicy --recursive 2>&1 | sed '/^DESCRIPTION/,/^FIELDS/d'
kubectl explain networkpolicy.spec --recursive 2>&1 | sed '/^DESCRIPTION/,/^FIELDS/d'
kubectl explain configmap.data 2>&1 | grep -E '^[A-Z]|	<|^  enum|rror'
kubectl explain pod.spec.containers.resources 2>&1 | grep -E '^[A-Z]|	<|^  enum|rror'
kubectl get --raw /version | grep -v -i -e date -e commit -e compiler -e goversion -e platform -e gitversion
kubectl get --raw /healthz
kubectl get --raw '/readyz?verbose' | sort
kubectl get --raw /nope
kubectl get --raw /api/v1/namespaces/nope
kubectl get svc kubernetes -n default
kubectl get endpoints kubernetes -n default
kubectl get endpointslices -n default | awk '{print $1, $2, $4}'
kubectl get ns
kubectl get priorityclasses
kubectl get clusterroles | awk '{print $1}'
kubectl get clusterrolebindings -o wide | awk '{print $1, $2}'
kubectl get roles -A | awk '{print $1, $2}'
kubectl get rolebindings -A | awk '{print $1, $2, $3}'
kubectl get all -n default
kubectl get cm -A
kubectl get flowschemas
kubectl get crd
kubectl get apiservices
kubectl get storageclass
kubectl get servicecidrs
kubectl get ipaddresses 10.96.0.1
kubectl describe servicecidr kubernetes
kubectl get componentstatuses | sort
kubectl get pods nope -v=6 2>&1 | grep -o -e 'GET https[^ ]*' -e ' [45][0-9][0-9] [A-Z][A-Za-z ]*' -e 'status="[^"]*"' | sort -u
kubectl get pods -v=6 2>&1 | grep -o -e 'status="[^"]*"' -e ' 200 OK' | sort -u
kubectl get pods --request-timeout=nope
kubectl get pods -n 'bad ns'
kubectl get pods --chunk-size=1
kubectl get pods --token=nope
kubectl config view -o jsonpath='{.contexts[0].context.namespace}'
(kubectl proxy --port=0 >proxy.out 2>&1 & p=$!; for i in 1 2 3 4 5 6 7 8 9 10; do grep -qs Starting proxy.out && break; sleep 0.2; done; curl -s http://$(grep -o '127.0.0.1:[0-9]*' proxy.out)/api/v1/namespaces/nope; kill $p)
kubectl create -f https://127.0.0.1:1/x
echo '{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"l1"}},{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"l2"}}]}' | kubectl create -f -
echo '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"l1"},"data":{"a":1}}' | kubectl apply -f -
echo 'nope' | kubectl create -f -
echo '{}' | kubectl create -f -
echo '{"apiVersion":"v1","kind":"ConfigMap","metadata":{}}' | kubectl create -f -
echo '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"g-"}}' | kubectl create --dry-run=server -f - | cut -c1-12
kubectl get cm l1 l2 nope
kubectl get cm l1 -o yaml --show-managed-fields=false
kubectl delete cm l1 l2 --ignore-not-found
kubectl delete cm nope --ignore-not-found
kubectl delete cm --all --dry-run=server
