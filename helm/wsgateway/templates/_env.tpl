{{/* The flags of `wsgateway serve`, as variables. What is not set here is the gateway's default. */}}
{{- define "wsgateway.env" -}}
{{- $v := .Values -}}
- name: POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
- name: WSGATEWAY_FILE
  value: /etc/wsgateway/definition/routes.yaml
- name: WSGATEWAY_HOST
  value: {{ include "wsgateway.any" . | quote }}
- name: WSGATEWAY_PORT
  value: {{ $v.ports.public | quote }}
- name: WSGATEWAY_INTERNAL_HOST
  value: {{ include "wsgateway.any" . | quote }}
- name: WSGATEWAY_INTERNAL_PORT
  value: {{ $v.ports.internal | quote }}
# Other nodes, and backends that use $context.callbackUrl, call this very pod.
- name: WSGATEWAY_ADVERTISE
  value: {{ printf (eq $v.ipFamily "IPv6" | ternary "[$(POD_IP)]:%d" "$(POD_IP):%d") (int $v.ports.internal) | quote }}
- name: WSGATEWAY_DRAIN_WINDOW
  value: {{ include "wsgateway.text" $v.drain.windowSeconds | quote }}
- name: WSGATEWAY_WORKERS
  value: {{ include "wsgateway.text" $v.config.workers | quote }}
- name: WSGATEWAY_REDIS_URL
  {{- if $v.redis.existingSecret }}
  valueFrom:
    secretKeyRef: {name: {{ $v.redis.existingSecret | quote }}, key: {{ $v.redis.existingSecretKey | quote }}}
  {{- else }}
  value: {{ default "memory://" $v.redis.url | quote }}
  {{- end }}
{{- if $v.tls.existingSecret }}
- name: WSGATEWAY_TLS_PORT
  value: {{ $v.ports.tls | quote }}
- name: WSGATEWAY_TLS_CERT
  value: /etc/wsgateway/tls/tls.crt
- name: WSGATEWAY_TLS_KEY
  value: /etc/wsgateway/tls/tls.key
{{- end }}
{{- if $v.installationSecret.existingSecret }}
- name: WSGATEWAY_INSTALLATION_SECRET_FILE
  value: /etc/wsgateway/installation/secret
{{- end }}
{{- $optional := dict
  "WSGATEWAY_MAX_CONNECTIONS" $v.config.maxConnections
  "WSGATEWAY_CALLBACK_DOMAIN" $v.config.callbackDomain
  "WSGATEWAY_TRUSTED_PROXIES" (join "," $v.config.trustedProxies)
  "WSGATEWAY_DISCONNECT_RETRY_SECONDS" $v.config.disconnectRetrySeconds
  "WSGATEWAY_REGION" $v.config.region
  "WSGATEWAY_ACCOUNT_ID" $v.config.accountId
  "WSGATEWAY_CACHE_MEMORY" $v.config.cacheMemory
  "WSGATEWAY_BODY_MEMORY" $v.config.bodyMemory
  "WSGATEWAY_MESSAGE_MEMORY" $v.config.messageMemory
  "WSGATEWAY_ACCESS_LOG" $v.config.accessLog
  "WSGATEWAY_OPENAPI_STAGE" $v.openapi.stage
  "WSGATEWAY_OPENAPI_BASE_PATH" $v.openapi.basePath
  "WSGATEWAY_OPENAPI_LENIENT" ($v.openapi.lenient | ternary "true" "")
  "WSGATEWAY_REDIS_PREFIX" $v.redis.prefix
  "WSGATEWAY_LEASE_TTL" $v.redis.leaseTtl
  "WSGATEWAY_REDIS_AWAY" $v.redis.away }}
{{- range $name, $value := $optional }}
{{- if not (or (kindIs "invalid" $value) (eq (toString $value) "")) }}
- name: {{ $name }}
  value: {{ include "wsgateway.text" $value | quote }}
{{- end }}
{{- end }}
{{- with $v.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
