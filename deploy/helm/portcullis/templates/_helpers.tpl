{{/* Names, labels, and what must hold before anything is installed. */}}

{{- define "portcullis.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "portcullis.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- $name := include "portcullis.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "portcullis.selectorLabels" -}}
app.kubernetes.io/name: {{ include "portcullis.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "portcullis.labels" -}}
{{ include "portcullis.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- end }}

{{- define "portcullis.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "portcullis.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "portcullis.image" -}}
{{- $image := .Values.image }}
{{- if $image.digest }}
{{- printf "%s@%s" $image.repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}

{{- define "portcullis.serviceHost" -}}
{{ include "portcullis.fullname" . }}.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}
{{- end }}

{{/* Whether the Service has no address of its own: "true" or "". Istio's sidecars cannot ask such a one. */}}
{{- define "portcullis.headless" -}}
{{- if and .Values.service.headless (not .Values.wiring.istio.enabled) }}true{{ end }}
{{- end }}

{{/* Whether gRPC is answered on 127.0.0.1 in sidecar mode: "true" or "". */}}
{{- define "portcullis.loopback" -}}
{{- if or .Values.sidecar.loopback .Values.wiring.istio.enabled }}true{{ end }}
{{- end }}

{{- define "portcullis.storeUrl" -}}
{{- dig "store" "url" "memory:" .Values.config }}
{{- end }}

{{/*
The ports of the Redis, as `list`: those of config.store.url, with sentinels also the one that servers mostly have, and
networkPolicy.redisPorts. `unknown` where a variable in the URL may bring another.
*/}}
{{- define "portcullis.redisPorts" -}}
{{- $url := include "portcullis.storeUrl" . }}
{{- $ports := list }}
{{- $unknown := false }}
{{- if ne $url "memory:" }}
{{- $sentinels := contains "-sentinel:" $url }}
{{- range regexReplaceAll "^[a-z-]+://" $url "" | splitList "/" | first | splitList "," }}
{{- $port := regexFind ":[0-9]+$" . | trimPrefix ":" }}
{{- if and (not $port) (contains "${" .) }}
{{- $unknown = true }}
{{- else }}
{{- $ports = append $ports ($port | default (ternary "26379" "6379" $sentinels) | int) }}
{{- end }}
{{- end }}
{{- if $sentinels }}
{{- $ports = append $ports (int 6379) }}
{{- end }}
{{- range .Values.networkPolicy.redisPorts }}
{{- $ports = append $ports (int .) }}
{{- end }}
{{- end }}
{{- dict "list" (uniq $ports) "unknown" $unknown | toYaml }}
{{- end }}

{{/*
Whether Istio asks about all but the sidecar's metrics where `rules` says nothing: "true" or "". Only of workloads that are
named: they have the sidecar, and so nothing else at that port. Of others in the namespace it might be an application's.
*/}}
{{- define "portcullis.metricsUnasked" -}}
{{- $istio := .Values.wiring.istio }}
{{- if and (eq .Values.mode "sidecar") .Values.metrics.enabled $istio.selector (eq (toJson $istio.rules) "[{}]") }}true{{ end }}
{{- end }}

{{/* What cannot be told by the schema. */}}
{{- define "portcullis.demand" -}}
{{- $values := .Values }}
{{- $url := include "portcullis.storeUrl" . }}
{{- if not $values.image.repository }}
{{- fail "\n\nimage.repository is empty: no image is published yet. Build one with deploy/image/Dockerfile, push it to your registry, and name it here.\n" }}
{{- end }}
{{- if not (dig "platforms" (list) $values.config) }}
{{- fail "\n\nconfig.platforms is empty: say whose requests are judged, by which rules. ci/ in the chart has examples; `portcullis config presets` lists the built-in platforms.\n" }}
{{- end }}
{{- if and (ne $url "memory:") (not $values.pepper.existingSecret) }}
{{- fail "\n\npepper.existingSecret is empty: a store that lasts needs one. kubectl create secret generic portcullis-pepper --from-literal=pepper=\"$(openssl rand -hex 32)\"\n" }}
{{- end }}
{{- if hasPrefix "embedded:" $url }}
{{- fail "\n\nconfig.store.url: an embedded store belongs to one process and its file; pods share a Redis.\n" }}
{{- end }}
{{- if and (regexMatch "^redis(-sentinel|-cluster)?:" $url) (not $values.redis.allowPlaintext) }}
{{- fail "\n\nconfig.store.url has no TLS: take rediss:, rediss-sentinel: or rediss-cluster:, or set redis.allowPlaintext where nobody else hears the network.\n" }}
{{- end }}
{{- $telemetry := dig "telemetry" dict $values.config }}
{{- $collector := dig "otlp_endpoint" "" $telemetry | default "" | lower }}
{{- $here := regexMatch "^http://(localhost|127\\.[0-9.]+|\\[::1\\])(:|/|$)" $collector }}
{{- if and (hasPrefix "http:" $collector) (not $here) (dig "otlp" "headers_file" "" $telemetry) (not (dig "otlp" "allow_plaintext" false $telemetry)) }}
{{- fail "\n\nconfig.telemetry.otlp.headers_file: config.telemetry.otlp_endpoint has no TLS: take https://, or set config.telemetry.otlp.allow_plaintext where nobody else hears the network.\n" }}
{{- end }}
{{- range $of := list "" "sentinel_" }}
{{- $key := ternary $values.redis.passwordKey $values.redis.sentinelPasswordKey (eq $of "") }}
{{- $has := or (and $values.redis.existingSecret $key) (dig "store" (printf "%spassword_file" $of) "" $values.config) }}
{{- if and (dig "store" (printf "%susername" $of) "" $values.config) (not $has) }}
{{- fail (printf "\n\nconfig.store.%susername has no password: name the Secret that holds it in redis.existingSecret, and its key in redis.%s.\n" $of (ternary "passwordKey" "sentinelPasswordKey" (eq $of ""))) }}
{{- end }}
{{- end }}
{{- if and (eq $values.mode "deployment") $values.networkPolicy.enabled (include "portcullis.redisPorts" . | fromYaml | dig "unknown" false) (not $values.networkPolicy.redisPorts) }}
{{- fail "\n\nconfig.store.url has a variable where the port stands, so the NetworkPolicy cannot let it out: name the Redis's ports in networkPolicy.redisPorts.\n" }}
{{- end }}
{{- if and $values.directory.existingSecret $values.directory.existingConfigMap }}
{{- fail "\n\ndirectory: name a Secret or a ConfigMap, not both.\n" }}
{{- end }}
{{- if and (or $values.directory.existingSecret $values.directory.existingConfigMap) (ne $url "memory:") }}
{{- fail "\n\ndirectory: only a memory: store is filled from a file; fill the Redis with `portcullis import`.\n" }}
{{- end }}
{{- if eq $values.redis.tls.certKey "" | ne (eq $values.redis.tls.keyKey "") }}
{{- fail "\n\nredis.tls: certKey and keyKey go together.\n" }}
{{- end }}
{{- if and (or $values.signing.keys $values.signing.assertionKeys) (not $values.signing.existingSecret) }}
{{- fail "\n\nsigning.existingSecret is empty: it is the Secret that holds the keys.\n" }}
{{- end }}
{{- if and $values.tls.existingSecret (ne $values.mode "deployment") }}
{{- fail "\n\ntls.existingSecret: a sidecar is asked over a Unix socket, which needs no TLS.\n" }}
{{- end }}
{{- if and $values.tls.existingSecret $values.wiring.istio.enabled }}
{{- fail "\n\ntls.existingSecret: Istio's proxies speak its own mutual TLS; give the pods its sidecar instead.\n" }}
{{- end }}
{{- $deadline := dig "check" "deadline_ms" 150 $values.config | int }}
{{- if le ($values.wiring.timeout | trimSuffix "ms" | int) (add $deadline 20 | int) }}
{{- fail (printf "\n\nwiring.timeout must be more than 20 ms above config.check.deadline_ms (%d), or Envoy answers where Portcullis should.\n" $deadline) }}
{{- end }}
{{- range $values.files }}
{{- if eq (empty .secret) (empty .configMap) }}
{{- fail (printf "\n\nfiles: %s needs a secret or a configMap, and only one.\n" .name) }}
{{- end }}
{{- end }}
{{- if $values.wiring.envoyGateway.enabled }}
{{- if ne $values.mode "deployment" }}
{{- fail "\n\nwiring.envoyGateway: the proxies of Envoy Gateway are pods of its own; take mode: deployment.\n" }}
{{- end }}
{{- if not $values.wiring.envoyGateway.targetRefs }}
{{- fail "\n\nwiring.envoyGateway.targetRefs is empty: name the Gateways or routes that are protected.\n" }}
{{- end }}
{{- end }}
{{- if and $values.wiring.istio.selector $values.wiring.istio.targetRefs }}
{{- fail "\n\nwiring.istio: selector or targetRefs, not both.\n" }}
{{- end }}
{{- if and (or $values.metrics.serviceMonitor.enabled) (not $values.metrics.enabled) }}
{{- fail "\n\nmetrics.serviceMonitor needs metrics.enabled: the admin listener is on loopback otherwise.\n" }}
{{- end }}
{{- end }}
