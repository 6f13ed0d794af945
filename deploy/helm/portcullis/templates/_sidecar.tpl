{{/*
The native sidecar, for charts that have this one as a dependency. In the pod of such a chart:

  spec:
    securityContext:
      {{- include "portcullis.sidecar.podSecurityContext" .Subcharts.portcullis | nindent 6 }}
    initContainers:
      {{- include "portcullis.sidecar" .Subcharts.portcullis | nindent 6 }}
    containers:
      - name: envoy
        volumeMounts:
          {{- include "portcullis.sidecar.socketMount" .Subcharts.portcullis | nindent 10 }}
    volumes:
      {{- include "portcullis.sidecar.volumes" .Subcharts.portcullis | nindent 6 }}
*/}}

{{- define "portcullis.sidecar" -}}
{{- include "portcullis.demand" . -}}
- restartPolicy: Always
  {{- include "portcullis.container" . | nindent 2 }}
{{- end }}

{{- define "portcullis.sidecar.volumes" -}}
{{- include "portcullis.volumes" . }}
{{- end }}

{{/* Where the Envoy of the pod finds `/run/portcullis/check.sock`; the control socket is elsewhere. */}}
{{- define "portcullis.sidecar.socketMount" -}}
- { name: portcullis-run, mountPath: /run/portcullis, readOnly: true }
{{- end }}

{{/* Of the pod: the group that the socket and the files of secrets are for. */}}
{{- define "portcullis.sidecar.podSecurityContext" -}}
fsGroup: 65532
{{- end }}
