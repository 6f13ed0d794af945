{{/* A whole configuration of an Envoy that asks Portcullis about every request; what is hardened is so in deploy/envoy/envoy.yaml too. */}}

{{/* How a cluster of Envoy's speaks to Portcullis, where that is in TLS. */}}
{{- define "portcullis.envoyTls" -}}
{{- if .Values.tls.existingSecret }}
{{- $folder := .Values.wiring.envoy.tlsFolder }}
transport_socket:
  name: envoy.transport_sockets.tls
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
    sni: {{ .Values.tls.serverName | quote }}
    common_tls_context:
      {{- if .Values.tls.clientCaKey }}
      tls_certificates:
        - certificate_chain: { filename: {{ printf "%s/tls.crt" $folder | quote }} }
          private_key: { filename: {{ printf "%s/tls.key" $folder | quote }} }
      {{- end }}
      validation_context:
        trusted_ca: { filename: {{ printf "%s/ca.crt" $folder | quote }} }
        # Without it, whoever has any certificate by that authority could answer in Portcullis' place.
        match_typed_subject_alt_names: [{ san_type: DNS, matcher: { exact: {{ .Values.tls.serverName | quote }} } }]
{{- end }}
{{- end }}

{{/*
The headers that no client may bring, as an array: those that tell who a request is of, and those by which some upstreams take
another path or method than that of the request line; but for those that rules of a platform hold for.
*/}}
{{- define "portcullis.clientHeaders" -}}
{{- $judged := list }}
{{- range dig "platforms" (list) .Values.config }}
{{- $own := dig "method_override" "headers" nil . }}
{{- if and (kindIs "invalid" $own) (eq (get . "preset") "crossbar") }}
{{- $own = list "x-http-method-override" }}
{{- end }}
{{- range $own }}
{{- $judged = append $judged (lower .) }}
{{- end }}
{{- end }}
{{- $all := list "x-auth-platform" "x-auth-account" "x-auth-user" "x-auth-username" "x-auth-scheme" "x-auth-scopes" "x-auth-roles" "x-auth-expires" "x-auth-assertion" }}
{{- $all = concat $all (list "x-original-url" "x-rewrite-url" "x-http-method-override" "x-http-method" "x-method-override") }}
{{- range $all }}
{{- if not (has . $judged) }}
- {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "portcullis.envoy" -}}
{{- $envoy := .Values.wiring.envoy }}
{{- $deployed := eq .Values.mode "deployment" }}
# Statistics and settings, for who is in this pod: whoever reaches it may end this Envoy.
admin: { address: { socket_address: { address: 127.0.0.1, port_value: 9901 } } }

static_resources:
  listeners:
    - name: edge
      address: { socket_address: { address: {{ $envoy.address | quote }}, port_value: {{ $envoy.port }} } }
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: edge

                # What a client claims about its address and scheme in `x-forwarded-for`, `x-forwarded-proto` and
                # `x-envoy-*` is replaced by what is seen.
                use_remote_address: true
                {{- with $envoy.trustedHops }}
                xff_num_trusted_hops: {{ . }}
                {{- end }}

                # `/public/../orders` becomes `/orders` before a route is chosen and Portcullis is asked. Without it,
                # Envoy routes one path and the upstream serves another.
                normalize_path: true

                # `//orders` becomes `/orders`, for the same reason.
                merge_slashes: true

                # `/public%2F..%2Forders` is one segment to some readers and four to others: 400.
                path_with_escaped_slashes_action: REJECT_REQUEST

                common_http_protocol_options:
                  # Many upstreams read `x_auth_account` as `x-auth-account`: 400.
                  headers_with_underscores_action: REJECT_REQUEST

                # Gone before a route is chosen, on every route and whoever asks, so also where Portcullis is not asked: on a
                # route with the filter `disabled`. What Portcullis sets comes later. Name those of identities as
                # `identity_headers` does, if it renames them.
                early_header_mutation_extensions:
                  - name: envoy.http.early_header_mutation.header_mutation
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation
                      mutations:
                      mutations:
                        {{- range include "portcullis.clientHeaders" . | fromYamlArray }}
                        - remove: {{ . }}
                        {{- end }}

                route_config:
                  virtual_hosts:
                    - name: all
                      domains: ["*"]
                      routes:
                        {{- if .Values.issue.enabled }}
                        # What Check has admitted to the endpoints that issue, and nothing else, bears this header.
                        - match: { prefix: /, headers: [{ name: x-portcullis-context, present_match: true }] }
                          route: { cluster: portcullis_issue }
                        {{- end }}
                        - { match: { prefix: / }, route: { cluster: upstream } }
                      {{- with $envoy.platform }}
                      # Whose rules count. Set here, it cannot be chosen by a client.
                      typed_per_filter_config:
                        envoy.filters.http.ext_authz:
                          "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute
                          check_settings: { context_extensions: { platform: {{ . | quote }} } }
                      {{- end }}

                http_filters:
                  - name: envoy.filters.http.ext_authz
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
                      transport_api_version: V3
                      grpc_service:
                        envoy_grpc: { cluster_name: portcullis }
                        timeout: {{ .Values.wiring.timeout | trimSuffix "ms" | float64 | mulf 0.001 }}s
                      # No answer, no passage.
                      failure_mode_allow: false
                      # With Envoy's default, 403, a client could not tell an outage from a denial.
                      status_on_error: { code: 503 }
                      # A header or query that no request may carry is a 500, not a request.
                      validate_mutations: true
                      {{- if .Values.issue.enabled }}
                      # The route is chosen by what Check has set, and not by what the client sent.
                      clear_route_cache: true
                      {{- end }}
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router

                # Why each request was answered as it was, and the decision's id.
                access_log:
                  - name: envoy.access_loggers.stdout
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
                      log_format:
                        text_format_source:
                          inline_string: "%REQ(:METHOD)% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %DYNAMIC_METADATA(envoy.filters.http.ext_authz)%\n"
    {{- if $envoy.statsPort }}

    # The statistics alone, for a Prometheus; all else of the admin listener stays on loopback.
    - name: statistics
      address: { socket_address: { address: {{ $envoy.address | quote }}, port_value: {{ $envoy.statsPort }} } }
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: statistics
                route_config:
                  virtual_hosts:
                    - name: all
                      domains: ["*"]
                      routes:
                        - match: { path: /stats/prometheus, headers: [{ name: ":method", string_match: { exact: GET } }] }
                          route: { cluster: admin }
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
    {{- end }}

  clusters:
    - name: portcullis
      type: {{ ternary "STRICT_DNS" "STATIC" $deployed }}
      connect_timeout: 0.25s
      # gRPC is HTTP/2, and Envoy speaks HTTP/1.1 to a cluster that does not say so: every check would fail.
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: { http2_protocol_options: {} }
      {{- include "portcullis.envoyTls" . | nindent 6 }}
      load_assignment:
        cluster_name: portcullis
        endpoints:
          - lb_endpoints:
              {{- if $deployed }}
              - endpoint: { address: { socket_address: { address: {{ include "portcullis.serviceHost" . | quote }}, port_value: {{ .Values.ports.grpc }} } } }
              {{- else }}
              - endpoint: { address: { pipe: { path: /run/portcullis/check.sock } } }
              {{- end }}
    {{- if .Values.issue.enabled }}

    - name: portcullis_issue
      type: STRICT_DNS
      connect_timeout: 0.25s
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: { http_protocol_options: {} }
          # Portcullis closes after ten seconds; so no request goes out on a connection that is just being closed.
          common_http_protocol_options: { idle_timeout: 5s }
      {{- include "portcullis.envoyTls" . | nindent 6 }}
      load_assignment:
        cluster_name: portcullis_issue
        endpoints:
          - lb_endpoints:
              - endpoint: { address: { socket_address: { address: {{ ternary (include "portcullis.serviceHost" .) "127.0.0.1" $deployed | quote }}, port_value: {{ .Values.ports.issue }} } } }
    {{- end }}

    - name: upstream
      type: STRICT_DNS
      load_assignment:
        cluster_name: upstream
        endpoints:
          - lb_endpoints:
              - endpoint: { address: { socket_address: { address: {{ $envoy.upstream.address | quote }}, port_value: {{ $envoy.upstream.port }} } } }
    {{- if $envoy.statsPort }}

    - name: admin
      type: STATIC
      load_assignment:
        cluster_name: admin
        endpoints:
          - lb_endpoints:
              - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 9901 } } }
    {{- end }}
{{- end }}
