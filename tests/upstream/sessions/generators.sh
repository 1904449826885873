# Every generator of `kubectl create`, and what shows its objects.
kubectl create configmap cm --from-literal=a=b --from-literal=c=d
kubectl create configmap cm --from-literal=a=b
kubectl create configmap bad_name --from-literal=a=b
kubectl describe configmap cm | sort
kubectl get cm
kubectl create secret generic s --from-literal=password=x
kubectl create secret docker-registry d --docker-server=a --docker-username=b --docker-password=c
kubectl describe secret s
kubectl get secrets
kubectl get secret s -o jsonpath='{.data.password}'
kubectl create serviceaccount sa
kubectl describe sa sa
kubectl get sa
kubectl create token sa | cut -c1-3
kubectl create token sa --duration=30m --audience=x | cut -c1-3
kubectl create token nope
kubectl create token sa --duration=1s
kubectl create deployment d --image=a --image=b --replicas=2 --port=80
kubectl create deployment d2 --image=a -- sleep 1
kubectl create job j --image=busybox -- date
kubectl describe job j
kubectl get job j -o wide
kubectl create cronjob c --image=busybox --schedule='*/1 * * * *' -- date
kubectl create cronjob c2 --image=busybox --schedule='nope' -- date
kubectl describe cronjob c
kubectl get cronjob -o wide
kubectl create job j2 --from=cronjob/c
kubectl get jobs
kubectl create ingress i --rule='a.example.com/*=svc:80,tls=sec' --class=x
kubectl describe ingress i
kubectl get ingress
kubectl create service clusterip s1 --tcp=80:8080
kubectl create service nodeport s2 --tcp=80
kubectl create service loadbalancer s3 --tcp=80
kubectl create service externalname s4 --external-name=a.example.com
kubectl get svc
kubectl describe svc s1
kubectl describe svc s4
kubectl create quota q --hard=pods=5,cpu=2
kubectl create quota q2 --hard=foo=1
kubectl describe quota q
kubectl get quota
kubectl create poddisruptionbudget pdb --selector=a=b --min-available=1
kubectl get pdb
kubectl describe pdb pdb
kubectl create role r --verb=get,list --resource=pods,deployments.apps --resource-name=x
kubectl create role r2 --verb=nope --resource=pods
kubectl create role r3 --verb=get --resource=nopes
kubectl describe role r
kubectl get roles
kubectl create rolebinding rb --role=r --user=u --group=g --serviceaccount=generators:sa
kubectl describe rolebinding rb
kubectl get rolebindings -o wide
kubectl set subject rolebinding rb --user=v
kubectl create clusterrole gcr --verb=get --resource=nodes
kubectl create clusterrole gcr2 --verb=get --non-resource-url=/metrics
kubectl create clusterrole gcr3 --aggregation-rule=nothing=here
kubectl describe clusterrole gcr2
kubectl create clusterrolebinding gcrb --clusterrole=gcr --group=g
kubectl describe clusterrolebinding gcrb
kubectl get clusterrolebinding gcrb -o wide
kubectl create priorityclass gpc --value=10 --description=x
kubectl create priorityclass gpc2 --value=2000000000
kubectl get priorityclasses
kubectl describe priorityclass gpc
kubectl create namespace gns
kubectl create namespace gns
kubectl create namespace 'Bad_'
kubectl describe namespace gns
kubectl get namespace gns
kubectl auth can-i get pods
kubectl auth can-i get pods --as=bob
kubectl auth can-i get pods/log -n generators --as=u
kubectl auth can-i --list --as=bob
kubectl auth can-i --list
kubectl auth can-i get nopes
kubectl auth can-i get /healthz --as=bob
kubectl auth whoami
kubectl auth whoami --as=bob --as-group=x -o yaml
kubectl auth reconcile -f /dev/null
kubectl get pods --as=bob
kubectl create configmap x --as=bob
kubectl get nodes --as=bob
kubectl delete namespace gns --wait=false
kubectl get ns gns -o jsonpath='{.status.phase}'
kubectl create configmap x -n gns
kubectl create configmap x -n nowhere
kubectl delete clusterrole gcr gcr2 gcr3
kubectl delete clusterrolebinding gcrb
kubectl delete priorityclass gpc
kubectl get cs | sort
kubectl delete all --all --wait=false
