{{/* portcullis.yaml: what the values say, with the listeners and the files that the chart brings. */}}

{{- define "portcullis.listen" -}}
{{- $ports := .Values.ports }}
{{- $all := "0.0.0.0" }}
{{- $own := "127.0.0.1" }}
grpc:
{{- if eq .Values.mode "deployment" }}
  - "{{ $all }}:{{ $ports.grpc }}"
{{- else if include "portcullis.loopback" . }}
  - "{{ $own }}:{{ $ports.grpc }}"
{{- end }}
  # In deployment mode, for probes: it has no TLS.
  - "unix:/run/portcullis/check.sock"
admin: "{{ ternary $all $own .Values.metrics.enabled }}:{{ $ports.admin }}"
# Apart from check.sock: whoever can connect to it can make keys, and Envoy has the folder of that one.
control: "unix:/run/portcullis-control/control.sock"
{{- if .Values.issue.enabled }}
issue: "{{ ternary $all $own (eq .Values.mode "deployment") }}:{{ $ports.issue }}"
{{- end }}
{{- with .Values.tls }}
{{- if .existingSecret }}
tls:
  cert_file: /etc/portcullis/tls/tls.crt
  key_file: /etc/portcullis/tls/tls.key
  {{- if .clientCaKey }}
  client_ca_file: /etc/portcullis/tls/ca.crt
  {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "portcullis.config" -}}
{{- $values := .Values }}
{{- $made := dict "listen" (include "portcullis.listen" . | fromYaml) "store" dict }}
{{- $store := $made.store }}
{{- if or $values.directory.existingSecret $values.directory.existingConfigMap }}
{{- $_ := set $store "directory_file" (printf "/etc/portcullis/directory/%s" $values.directory.key) }}
{{- end }}
{{- if $values.pepper.existingSecret }}
{{- $files := list }}
{{- range $values.pepper.keys }}
{{- $files = append $files (printf "/etc/portcullis/pepper/%s" .) }}
{{- end }}
{{- $_ := set $store "pepper_files" $files }}
{{- end }}
{{- with $values.redis }}
{{- if and .existingSecret .passwordKey }}
{{- $_ := set $store "password_file" "/etc/portcullis/redis/password" }}
{{- end }}
{{- if and .existingSecret .sentinelPasswordKey }}
{{- $_ := set $store "sentinel_password_file" "/etc/portcullis/redis/sentinel-password" }}
{{- end }}
{{- if and .tls.existingSecret .tls.caKey }}
{{- $_ := set $store "ca_file" "/etc/portcullis/redis-tls/ca.crt" }}
{{- end }}
{{- if and .tls.existingSecret .tls.certKey }}
{{- $_ := set $store "client_cert_file" "/etc/portcullis/redis-tls/tls.crt" }}
{{- $_ := set $store "client_key_file" "/etc/portcullis/redis-tls/tls.key" }}
{{- end }}
{{- end }}
{{- with $values.signing }}
{{- $signing := dict }}
{{- range $setting, $keys := dict "key_files" .keys "assertion_key_files" .assertionKeys }}
{{- if $keys }}
{{- $files := list }}
{{- range $keys }}
{{- $files = append $files (printf "/etc/portcullis/signing/%s" .) }}
{{- end }}
{{- $_ := set $signing $setting $files }}
{{- end }}
{{- end }}
{{- if $signing }}
{{- $_ := set $made "signing" $signing }}
{{- end }}
{{- end }}
{{- if not $store }}
{{- $_ := unset $made "store" }}
{{- end }}
{{- mergeOverwrite $made (deepCopy $values.config) | toYaml }}
{{- end }}

{{/* A digest of what does not count before a restart; all else is reloaded, so no pod needs to go for it. */}}
{{- define "portcullis.restartChecksum" -}}
{{- $config := include "portcullis.config" . | fromYaml }}
{{- $store := pick (dig "store" dict $config) "url" "timeout_ms" "watch_grace_seconds" }}
{{- dict "rest" (pick $config "listen" "cache" "telemetry") "store" $store | toJson | sha256sum }}
{{- end }}
