{{/* Names, labels, and what several templates compute. */}}

{{- define "wsgateway.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "wsgateway.fullname" -}}
{{- $name := include "wsgateway.name" . }}
{{- default (contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name)) .Values.fullnameOverride | replace "." "-" | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* What selects the gateway's pods; it can't be changed once there is a Deployment. */}}
{{- define "wsgateway.selector" -}}
{{- dict
  "app.kubernetes.io/name" (include "wsgateway.name" .)
  "app.kubernetes.io/instance" .Release.Name
  "app.kubernetes.io/component" "gateway" | toYaml }}
{{- end }}

{{/* Labels of every object; commonLabels win, but not over what selects. */}}
{{- define "wsgateway.commonLabels" -}}
{{- dict
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimAll "-_.")
  "app.kubernetes.io/version" (default .Chart.AppVersion .Values.image.tag | trunc 63 | trimAll "-_.")
  "app.kubernetes.io/managed-by" .Release.Service
  "app.kubernetes.io/part-of" "wsgateway"
  | merge (deepCopy .Values.commonLabels) | toYaml }}
{{- end }}

{{- define "wsgateway.labels" -}}
{{- merge (include "wsgateway.selector" . | fromYaml) (include "wsgateway.commonLabels" . | fromYaml) | toYaml }}
{{- end }}

{{- define "wsgateway.serviceAccount" -}}
{{- default (.Values.serviceAccount.create | ternary (include "wsgateway.fullname" .) "default") .Values.serviceAccount.name }}
{{- end }}

{{- define "wsgateway.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{- define "wsgateway.configMap" -}}
{{- default (printf "%s-routes" (include "wsgateway.fullname" .)) .Values.existingConfigMap }}
{{- end }}

{{/* "true" where several nodes can meet. */}}
{{- define "wsgateway.shared" -}}
{{- if or .Values.redis.existingSecret (not (has .Values.redis.url (list "" "memory://"))) }}true{{ end }}
{{- end }}

{{/* Seconds a drain takes at most: the wait before it, its window, what may follow it (35 s of a node; 45 s until a
     supervisor kills its workers), and 5 s to leave. */}}
{{- define "wsgateway.grace" -}}
{{- $tail := eq (toString .Values.config.workers) "1" | ternary 35 45 }}
{{- add .Values.drain.preStopSeconds (ceil .Values.drain.windowSeconds) $tail 5 }}
{{- end }}

{{/* A number as one writes it (Go would write a million as 1e+06), or a text as it is. */}}
{{- define "wsgateway.text" -}}
{{- kindIs "string" . | ternary . (toJson .) }}
{{- end }}

{{- define "wsgateway.any" -}}
{{- eq .Values.ipFamily "IPv6" | ternary "::" "0.0.0.0" }}
{{- end }}

{{/* What may not be asked for, each told with how to mend it. */}}
{{- define "wsgateway.refuse" -}}
{{- $v := .Values }}
{{- if and $v.autoscaling.enabled $v.keda.enabled }}
{{- fail "autoscaling.enabled and keda.enabled would both scale the Deployment, one against the other. Enable one of them." }}
{{- end }}
{{- if not (include "wsgateway.shared" .) }}
{{- $mend := "nodes without Redis know nothing of one another, so pushes would be lost. Set redis.url or redis.existingSecret" }}
{{- if $v.autoscaling.enabled }}
{{- fail (printf "autoscaling.enabled makes several pods, and there is no Redis: %s, or disable it." $mend) }}
{{- else if $v.keda.enabled }}
{{- fail (printf "keda.enabled makes several pods, and there is no Redis: %s, or disable it." $mend) }}
{{- else if gt (int $v.replicaCount) 1 }}
{{- fail (printf "replicaCount is %d, and there is no Redis: %s, or replicaCount: 1." (int $v.replicaCount) $mend) }}
{{- else if ne (toString $v.config.workers) "1" }}
{{- fail (printf "config.workers is %s, and there is no Redis: %s, or config.workers: 1." (toString $v.config.workers) $mend) }}
{{- else if eq (default "" $v.strategy.type) "RollingUpdate" }}
{{- fail (printf "strategy.type RollingUpdate has two pods at once, and there is no Redis: %s, or leave strategy empty." $mend) }}
{{- end }}
{{- end }}
{{- if and $v.redis.url $v.redis.existingSecret }}
{{- fail "redis.url and redis.existingSecret both say where Redis is. Set one of them." }}
{{- end }}
{{- if regexMatch "://[^/]*:[^/@]*@|[?&](password|sentinel_password)=" $v.redis.url }}
{{- fail "redis.url holds a password, which everybody who may see the Deployment could read. Put the URL into a Secret and name that in redis.existingSecret." }}
{{- end }}
{{- if and (or $v.autoscaling.enabled $v.keda.enabled) (not $v.config.maxConnections) }}
{{- fail "Pods are to be scaled by the share of their limit of connections, and config.maxConnections does not say how many that is. Set it to what a pod can carry, such as 20000." }}
{{- end }}
{{- if and $v.keda.enabled (not $v.keda.serverAddress) }}
{{- fail "keda.enabled needs keda.serverAddress, the URL of Prometheus, such as http://prometheus.monitoring:9090." }}
{{- end }}
{{- with $v.terminationGracePeriodSeconds }}
{{- if lt (int .) (int (include "wsgateway.grace" $)) }}
{{- fail (printf "terminationGracePeriodSeconds is %d, and a drain takes up to %s s (drain.preStopSeconds, drain.windowSeconds, and what follows): pods would be killed with clients connected. Leave it null, or shorten drain.windowSeconds." (int .) (include "wsgateway.grace" $)) }}
{{- end }}
{{- end }}
{{- if not (regexMatch "^[a-z]" (include "wsgateway.fullname" .)) }}
{{- fail (printf "The Services would be called %s, and a Service's name begins with a letter. Set fullnameOverride, or give the release another name." (include "wsgateway.fullname" .)) }}
{{- end }}
{{- $ports := list $v.ports.public $v.ports.internal }}
{{- if $v.tls.existingSecret }}
{{- $ports = append $ports $v.ports.tls }}
{{- end }}
{{- if lt (len (uniq $ports)) (len $ports) }}
{{- fail "Two of ports are the same, and a pod has each port once. Give each of ports.public, ports.tls and ports.internal its own." }}
{{- end }}
{{- if and $v.tls.existingSecret (eq (int $v.service.port) (int $v.service.tlsPort)) }}
{{- fail (printf "service.port and service.tlsPort are both %d, and a Service has each port once. Give each its own." (int $v.service.port)) }}
{{- end }}
{{- range $v.extraEnv }}
{{- if or (hasPrefix "WSGATEWAY_" .name) (has .name (list "REDIS_URL" "POD_IP")) }}
{{- fail (printf "extraEnv sets %s, which the chart computes other things from. Set it by config, redis, installationSecret, tls, ports or drain." .name) }}
{{- end }}
{{- end }}
{{- with $v.podDisruptionBudget.minAvailable }}
{{- $pods := $v.autoscaling.enabled | ternary $v.autoscaling.minReplicas ($v.keda.enabled | ternary $v.keda.minReplicas $v.replicaCount) }}
{{- if or (eq (toString .) "100%") (and (not (kindIs "string" .)) (gt (int $pods) 0) (ge (int .) (int $pods))) }}
{{- fail (printf "podDisruptionBudget.minAvailable, %s, is all of the %d pods that there may be, so no machine could ever be drained. Leave one pod fewer, or use maxUnavailable." (toString .) (int $pods)) }}
{{- end }}
{{- end }}
{{- range $name := list "autoscaling" "keda" }}
{{- $scale := get $v $name }}
{{- if and $scale.enabled (gt (int $scale.minReplicas) (int $scale.maxReplicas)) }}
{{- fail (printf "%s.minReplicas is %d, more than %s.maxReplicas, %d." $name (int $scale.minReplicas) $name (int $scale.maxReplicas)) }}
{{- end }}
{{- end }}
{{- if and $v.existingConfigMap $v.files }}
{{- fail "files has no effect with existingConfigMap. Put them into that ConfigMap, or leave existingConfigMap empty." }}
{{- end }}
{{- if not (or $v.existingConfigMap (trim $v.routes)) }}
{{- fail "routes is empty. Give a definition by --set-file routes=routes.yaml, or name a ConfigMap that has one in existingConfigMap." }}
{{- end }}
{{- if and $v.ingress.enabled (not $v.ingress.hosts) }}
{{- fail "ingress.enabled needs ingress.hosts, such as [{host: chat.example.com, paths: [{path: /, pathType: Prefix}]}]." }}
{{- end }}
{{- if and $v.httpRoute.enabled (not $v.httpRoute.parentRefs) }}
{{- fail "httpRoute.enabled needs httpRoute.parentRefs, the Gateway it belongs to, such as [{name: public, namespace: gateways}]." }}
{{- end }}
{{- end }}
