# What people do every day, with the workloads they write.
@file web.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: nginx
        image: nginx:1.27
        ports: [{containerPort: 80}]
---
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 80}]
@end
@file pod.yaml
apiVersion: v1
kind: Pod
metadata:
  name: p
  labels: {app: p, tier: back}
spec:
  containers:
  - {name: c, image: "busybox:1.36", command: [sleep, "1"]}
@end
kubectl get all
kubectl apply -f web.yaml
kubectl apply -f web.yaml
kubectl diff -f web.yaml
kubectl get deploy,svc
kubectl get deploy web -o wide
kubectl get svc web -o wide
kubectl get deploy web -o name
kubectl get deploy -o jsonpath='{.items[*].spec.replicas}'
kubectl get deploy -o custom-columns=N:.metadata.name,R:.spec.replicas,I:.spec.template.spec.containers[0].image
kubectl get deploy -o go-template='{{range .items}}{{.metadata.name}} {{end}}'
kubectl get deploy web -o yaml
kubectl get deploy web -o json
kubectl get deploy --show-labels
kubectl get deploy -L app
kubectl get deploy -l app=web --no-headers
kubectl get deploy -l 'app in (x,y)'
kubectl get deploy -A --field-selector metadata.name=web
kubectl get deploy --field-selector spec.replicas=2
kubectl get deploy --sort-by=.metadata.name
kubectl get pods
kubectl get pods -A --field-selector spec.nodeName=none
kubectl create -f pod.yaml
kubectl create -f pod.yaml
kubectl get pods
kubectl get pod p -o wide
kubectl get pod p -o yaml
kubectl describe pod p
kubectl describe deploy web
kubectl describe svc web
kubectl label pod p color=red
kubectl label pod p color=blue
kubectl label pod p color=blue --overwrite
kubectl label pod p color-
kubectl label pod p 'bad label=x'
kubectl label pods --all batch=yes
kubectl annotate pod p note='a b'
kubectl annotate pod p note-
kubectl annotate pod p --list
kubectl scale deploy web --replicas=4
kubectl scale deploy web --replicas=5 --current-replicas=9
kubectl scale deploy/web deploy/nope --replicas=3
kubectl scale pod p --replicas=3
kubectl set image deploy/web nginx=nginx:1.28
kubectl set image deploy/web nope=nginx:1.28
kubectl set env deploy/web A=b C=d
kubectl set env deploy/web --list
kubectl set env deploy/web A-
kubectl set resources deploy/web --limits=cpu=200m,memory=64Mi --requests=cpu=100m
kubectl set serviceaccount deploy/web builder
kubectl set selector svc web 'app=web,x=y'
kubectl get deploy web -o jsonpath='{.metadata.generation} {.spec.template.spec.containers[0]}'
kubectl rollout history deploy/web
kubectl rollout pause deploy/web
kubectl rollout pause deploy/web
kubectl rollout resume deploy/web
kubectl rollout restart deploy/web | cat
kubectl rollout undo deploy/web
kubectl rollout status deploy/web --timeout=1s
kubectl rollout status pod/p
kubectl patch deploy web -p '{"spec":{"replicas":7}}'
kubectl patch deploy web -p '{"spec":{"replicas":7}}'
kubectl patch deploy web --type=merge -p '{"spec":{"minReadySeconds":3}}'
kubectl patch deploy web --type=json -p '[{"op":"remove","path":"/spec/minReadySeconds"}]'
kubectl patch deploy web --type=json -p '[{"op":"remove","path":"/spec/nope"}]'
kubectl patch deploy web -p '{"spec":{"selector":{"matchLabels":{"z":"z"}}}}'
kubectl patch deploy web --subresource=scale --type=merge -p '{"spec":{"replicas":2}}'
kubectl get deploy web --subresource=scale
kubectl get deploy web --subresource=status -o name
kubectl expose deploy web --name=web2 --port=8080 --target-port=80
kubectl expose deploy web --name=web3 --port=80 --type=NodePort
kubectl expose pod p --port=80
kubectl get svc
kubectl autoscale deploy web --min=1 --max=4 --cpu-percent=80
kubectl get hpa
kubectl describe hpa web
kubectl run r --image=busybox --restart=Never --labels=a=b --env=X=y -- sleep 5
kubectl run q --image=busybox --port=80 --expose --dry-run=client -o yaml
kubectl run s --image=busybox --dry-run=server -o yaml
kubectl get pods --sort-by=.metadata.name
KUBE_EDITOR="sed -i s/replicas:.*/replicas:\ 9/" kubectl edit deploy web
KUBE_EDITOR="true" kubectl edit deploy web
KUBE_EDITOR="sed -i s/containerPort:.80/containerPort:\ 99999/" kubectl edit deploy web 2>&1 | sed 's#/[^ "]*/kubectl-edit[^ "]*#FILE#'
sed 's/nginx:1.27/nginx:1.30/;s/replicas: 2/replicas: 3/' web.yaml | kubectl diff -f - | grep '^[+-] '
sed 's/nginx:1.27/nginx:1.30/' web.yaml | kubectl apply -f -
sed 's/app: web/app: other/' web.yaml | kubectl apply -f -
sed 's/image:/imagee:/' web.yaml | kubectl apply -f -
sed 's/image:/imagee:/' web.yaml | kubectl apply --validate=false --dry-run=server -f -
sed 's/replicas: 2/replicas: two/' web.yaml | kubectl apply -f -
sed 's/Deployment/Deploymentt/' web.yaml | kubectl apply -f -
kubectl apply view-last-applied deploy web
kubectl apply set-last-applied -f web.yaml
kubectl apply --dry-run=server -f web.yaml
kubectl apply -f web.yaml --prune -l app=web 2>&1 | grep -v prune.go
kubectl replace -f pod.yaml
sed 's/busybox:1.36/busybox:1.37/' pod.yaml | kubectl replace -f -
kubectl replace --force --grace-period=0 -f pod.yaml
kubectl wait pod/p --for=condition=Ready --timeout=1s
kubectl wait pod/p --for=jsonpath='{.status.phase}'=Pending --timeout=2s
kubectl wait pod/nope --for=delete --timeout=1s
kubectl wait pod/nope --for=condition=Ready --timeout=1s
timeout 2 kubectl get pods -w
timeout 2 kubectl get pods -w -o name
timeout 2 kubectl get pod p -w -o wide --output-watch-events
kubectl logs p
kubectl logs nope
kubectl exec p -- ls
kubectl cp nope:/a /tmp/b
kubectl attach p
kubectl port-forward p 8080:80
kubectl debug p --image=busybox --copy-to=p2
kubectl debug nope --image=busybox
kubectl top pods
kubectl top nodes
kubectl events
kubectl get events
kubectl delete pod p --now --wait=false
kubectl delete pod p nope --grace-period=0 --force
kubectl delete deploy web --cascade=orphan --wait=false
kubectl delete deploy web
kubectl delete svc web web2 --wait=false
kubectl delete pods -l a=b
kubectl delete pods --all
kubectl delete hpa --all
kubectl delete deploy --all --cascade=foreground --wait=false
kubectl get nopes
kubectl get deploy nope
kubectl get deploy/nope pod/nope
kubectl describe pod nope
kubectl get -f pod.yaml
kubectl apply --server-side -f pod.yaml 2>&1 | head -3
