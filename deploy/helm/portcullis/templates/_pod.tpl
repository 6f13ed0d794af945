{{/* The container and its volumes, for both modes. */}}

{{- define "portcullis.podSecurityContext" -}}
runAsNonRoot: true
# Files of secrets, and the socket of the sidecar, are for this group.
fsGroup: 65532
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "portcullis.securityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "portcullis.container" -}}
name: portcullis
image: {{ include "portcullis.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  - serve
  - --config=/etc/portcullis/config/portcullis.yaml
  {{- range .Values.extraArgs }}
  - {{ . | quote }}
  {{- end }}
{{- with .Values.extraEnv }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $deployed := eq .Values.mode "deployment" }}
{{- if or $deployed .Values.metrics.enabled }}
ports:
  {{- if $deployed }}
  - { name: grpc, containerPort: {{ .Values.ports.grpc }} }
  {{- if .Values.issue.enabled }}
  - { name: http-issue, containerPort: {{ .Values.ports.issue }} }
  {{- end }}
  {{- end }}
  {{- if .Values.metrics.enabled }}
  - { name: pc-admin, containerPort: {{ .Values.ports.admin }} }
  {{- end }}
{{- end }}
# That the store was never reached is no reason to end it, so it lives while it answers at all. A sidecar whose store is
# reached through another sidecar, which starts after this one, must not be waited for either.
startupProbe:
  exec: { command: [/usr/local/bin/portcullis, healthcheck, --alive, "unix:/run/portcullis/check.sock"] }
  {{- toYaml .Values.probes.startup | nindent 2 }}
livenessProbe:
  exec: { command: [/usr/local/bin/portcullis, healthcheck, --alive, "unix:/run/portcullis/check.sock"] }
  {{- toYaml .Values.probes.liveness | nindent 2 }}
readinessProbe:
  {{- if and $deployed (not .Values.tls.existingSecret) }}
  grpc: { port: {{ .Values.ports.grpc }}, service: envoy.service.auth.v3.Authorization }
  {{- else }}
  exec: { command: [/usr/local/bin/portcullis, healthcheck, "unix:/run/portcullis/check.sock"] }
  {{- end }}
  {{- toYaml .Values.probes.readiness | nindent 2 }}
{{- if and $deployed .Values.deployment.preStopSeconds (semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version) }}
lifecycle:
  preStop: { sleep: { seconds: {{ .Values.deployment.preStopSeconds }} } }
{{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  {{- include "portcullis.securityContext" . | nindent 2 }}
volumeMounts:
  - { name: portcullis-run, mountPath: /run/portcullis }
  - { name: portcullis-control, mountPath: /run/portcullis-control }
  - { name: portcullis-config, mountPath: /etc/portcullis/config, readOnly: true }
  {{- range include "portcullis.secrets" . | fromYaml | dig "list" list }}
  - { name: {{ .volume }}, mountPath: {{ .path }}, readOnly: true }
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "portcullis.volumes" -}}
- name: portcullis-run
  emptyDir: { medium: Memory, sizeLimit: 1Mi }
# Of Portcullis alone: no other container may mount it, not even to read, since that does not stop `connect`.
- name: portcullis-control
  emptyDir: { medium: Memory, sizeLimit: 1Mi }
- name: portcullis-config
  configMap: { name: {{ include "portcullis.fullname" . }} }
{{- range include "portcullis.secrets" . | fromYaml | dig "list" list }}
- name: {{ .volume }}
  {{- if .secret }}
  secret:
    secretName: {{ .secret | quote }}
    # Of the owner and of `fsGroup`, and nobody else's.
    defaultMode: 288 # 0440
  {{- else }}
  configMap:
    name: {{ .configMap | quote }}
    defaultMode: 288
  {{- end }}
    {{- with .items }}
    items:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The folders of files that are mounted, as `list`: volume, path, secret or configMap, items. */}}
{{- define "portcullis.secrets" -}}
{{- $values := .Values }}
{{- $all := list }}
{{- with $values.directory }}
{{- if or .existingSecret .existingConfigMap }}
{{- $items := list (dict "key" .key "path" .key) }}
{{- $all = append $all (dict "volume" "portcullis-directory" "path" "/etc/portcullis/directory" "secret" .existingSecret "configMap" .existingConfigMap "items" $items) }}
{{- end }}
{{- end }}
{{- with $values.pepper }}
{{- if .existingSecret }}
{{- $items := list }}
{{- range .keys }}
{{- $items = append $items (dict "key" . "path" .) }}
{{- end }}
{{- $all = append $all (dict "volume" "portcullis-pepper" "path" "/etc/portcullis/pepper" "secret" .existingSecret "items" $items) }}
{{- end }}
{{- end }}
{{- with $values.redis }}
{{- if .existingSecret }}
{{- $items := list }}
{{- if .passwordKey }}
{{- $items = append $items (dict "key" .passwordKey "path" "password") }}
{{- end }}
{{- if .sentinelPasswordKey }}
{{- $items = append $items (dict "key" .sentinelPasswordKey "path" "sentinel-password") }}
{{- end }}
{{- $all = append $all (dict "volume" "portcullis-redis" "path" "/etc/portcullis/redis" "secret" .existingSecret "items" $items) }}
{{- end }}
{{- if .tls.existingSecret }}
{{- $items := list }}
{{- if .tls.caKey }}
{{- $items = append $items (dict "key" .tls.caKey "path" "ca.crt") }}
{{- end }}
{{- if .tls.certKey }}
{{- $items = append $items (dict "key" .tls.certKey "path" "tls.crt") }}
{{- $items = append $items (dict "key" .tls.keyKey "path" "tls.key") }}
{{- end }}
{{- $all = append $all (dict "volume" "portcullis-redis-tls" "path" "/etc/portcullis/redis-tls" "secret" .tls.existingSecret "items" $items) }}
{{- end }}
{{- end }}
{{- with $values.tls }}
{{- if .existingSecret }}
{{- $items := list (dict "key" .certKey "path" "tls.crt") (dict "key" .keyKey "path" "tls.key") }}
{{- if .clientCaKey }}
{{- $items = append $items (dict "key" .clientCaKey "path" "ca.crt") }}
{{- end }}
{{- $all = append $all (dict "volume" "portcullis-tls" "path" "/etc/portcullis/tls" "secret" .existingSecret "items" $items) }}
{{- end }}
{{- end }}
{{- with $values.signing }}
{{- if .existingSecret }}
{{- $items := list }}
{{- range concat .keys .assertionKeys | uniq }}
{{- $items = append $items (dict "key" . "path" .) }}
{{- end }}
{{- $all = append $all (dict "volume" "portcullis-signing" "path" "/etc/portcullis/signing" "secret" .existingSecret "items" $items) }}
{{- end }}
{{- end }}
{{- range $values.files }}
{{- $all = append $all (dict "volume" (printf "portcullis-file-%s" .name) "path" (printf "/etc/portcullis/files/%s" .name) "secret" .secret "configMap" .configMap) }}
{{- end }}
{{- dict "list" $all | toYaml }}
{{- end }}
