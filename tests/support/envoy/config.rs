//! The configuration that a [`Builder`] stands for, in Envoy's words.
//!
//! Apart from [`super`], which runs the process: here is all that names Envoy's extensions, and nothing that runs.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::super::tls::SERVER;
use super::{Builder, CheckAddress, CheckTls, MTLS, PLAIN, RAW_HEADERS, TLS, Tls};

impl Builder {
    /// Writes out the bootstrap configuration: one listener for each encoding of headers, and those for TLS.
    pub(super) fn config(&self) -> Value {
        let mut clusters = vec![
            self.check_cluster(),
            cluster("upstream", &socket_address(self.upstream)),
        ];
        if let Some(issue) = self.issue {
            clusters.push(issue_cluster(issue));
        }
        for (index, (_, _, to)) in self.hosts.iter().enumerate() {
            clusters.extend(to.map(|it| cluster(&format!("host_{index}"), &socket_address(it))));
        }
        for (index, (_, to)) in self.routes.iter().enumerate() {
            clusters.push(cluster(&format!("route_{index}"), &socket_address(*to)));
        }
        let mut listeners = vec![
            self.listener(PLAIN, false),
            self.listener(RAW_HEADERS, true),
        ];
        if let Some(tls) = &self.tls {
            for (name, require) in [(TLS, false), (MTLS, true)] {
                let mut listener = self.listener(name, false);
                listener["filter_chains"][0]["transport_socket"] = transport_socket(tls, require);
                listeners.push(listener);
            }
        }
        json!({
            "admin": { "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } } },
            "static_resources": {
                "listeners": listeners,
                "clusters": clusters,
            },
        })
    }

    fn listener(&self, name: &str, encode_raw_headers: bool) -> Value {
        let manager = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": name,
            "normalize_path": self.normalize_paths,
            "merge_slashes": self.normalize_paths,
            "use_remote_address": self.edge,
            "route_config": {
                "ignore_port_in_host_matching": self.ignore_ports,
                "virtual_hosts": self.virtual_hosts(),
            },
            "access_log": [access_log()],
            "http_filters": [
                self.ext_authz(encode_raw_headers),
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
                },
            ],
        });
        json!({
            "name": name,
            "stat_prefix": name,
            "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } },
            "filter_chains": [{
                "filters": [{ "name": "envoy.filters.network.http_connection_manager", "typed_config": manager }],
            }],
        })
    }

    fn ext_authz(&self, encode_raw_headers: bool) -> Value {
        json!({
            "name": "envoy.filters.http.ext_authz",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
                "transport_api_version": "V3",
                "encode_raw_headers": encode_raw_headers,
                "failure_mode_allow": self.failure_mode_allow,
                "clear_route_cache": self.issue.is_some(),
                "grpc_service": {
                    "envoy_grpc": { "cluster_name": "check" },
                    "timeout": format!("{}s", self.check_timeout.as_secs_f64()),
                },
            },
        })
    }

    fn virtual_hosts(&self) -> Vec<Value> {
        let mut hosts: Vec<_> = self
            .hosts
            .iter()
            .enumerate()
            .map(|(index, (domain, context, to))| {
                let own = to.map(|_| format!("host_{index}"));
                self.virtual_host(domain, context, own.as_deref().unwrap_or("upstream"))
            })
            .collect();
        if self.hosts.iter().all(|it| it.0 != "*") {
            hosts.push(self.virtual_host("*", &json!({}), "upstream"));
        }
        hosts
    }

    fn virtual_host(&self, domain: &str, context_extensions: &Value, cluster: &str) -> Value {
        let mut routes: Vec<_> = self
            .routes
            .iter()
            .enumerate()
            .map(|(index, (prefix, _))| route(prefix, &format!("route_{index}")))
            .collect();
        if self.issue.is_some() {
            let marked = json!({ "name": "x-portcullis-context", "present_match": true });
            let mut issue = route("/", "issue");
            issue["match"]["headers"] = json!([marked]);
            routes.insert(0, issue);
        }
        routes.push(route("/", cluster));
        json!({
            "name": domain,
            "domains": [domain],
            "routes": routes,
            "typed_per_filter_config": {
                "envoy.filters.http.ext_authz": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
                    "check_settings": { "context_extensions": context_extensions },
                },
            },
        })
    }

    fn check_cluster(&self) -> Value {
        let address = match &self.check {
            CheckAddress::Tcp(address) => socket_address(*address),
            CheckAddress::Unix(path) => json!({ "pipe": { "path": path } }),
        };
        let mut cluster = cluster("check", &address);
        // Envoy speaks HTTP/1.1 to a cluster that does not say so.
        cluster["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": { "http2_protocol_options": {} },
            },
        });
        if let Some(tls) = &self.check_tls {
            cluster["transport_socket"] = upstream_socket(tls);
        }
        cluster
    }
}

/// What `deploy/RUNNING.md` says of a Portcullis that is reached over TLS.
fn upstream_socket(tls: &CheckTls) -> Value {
    let own = tls.own.iter().map(|(certificate, key)| {
        json!({ "certificate_chain": { "inline_string": certificate }, "private_key": { "inline_string": key } })
    });
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": SERVER,
            "common_tls_context": {
                "tls_certificates": own.collect::<Vec<_>>(),
                "validation_context": {
                    "trusted_ca": { "inline_string": tls.trusted },
                    "match_typed_subject_alt_names": [{ "san_type": "DNS", "matcher": { "exact": SERVER } }],
                },
            },
        },
    })
}

/// What `deploy/PLATFORMS.md` says of listeners that clients present certificates to.
fn transport_socket(tls: &Tls, require_client_certificate: bool) -> Value {
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "require_client_certificate": require_client_certificate,
            "common_tls_context": {
                "tls_certificates": [{
                    "certificate_chain": { "inline_string": tls.certificate },
                    "private_key": { "inline_string": tls.key },
                }],
                "validation_context": { "trusted_ca": { "inline_string": tls.trusted } },
            },
        },
    })
}

fn route(prefix: &str, cluster: &str) -> Value {
    json!({ "match": { "prefix": prefix }, "route": { "cluster": cluster } })
}

/// Where idle connections are closed before the server does it.
fn issue_cluster(address: SocketAddr) -> Value {
    let mut cluster = cluster("issue", &socket_address(address));
    cluster["typed_extension_protocol_options"] = json!({
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "common_http_protocol_options": { "idle_timeout": "5s" },
            "explicit_http_config": { "http_protocol_options": {} },
        },
    });
    cluster
}

fn cluster(name: &str, address: &Value) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address } }] }],
        },
    })
}

fn socket_address(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip(), "port_value": address.port() } })
}

/// One line a request, with why Envoy answered as it did: the first thing to look at when a test fails.
fn access_log() -> Value {
    let format = "%PROTOCOL% %REQ(:METHOD)% %REQ(:AUTHORITY)% %REQ(:PATH)% -> \
                  %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% in %DURATION% ms \
                  fault=%DYNAMIC_METADATA(envoy.filters.http.ext_authz:fault)%\n";
    json!({
        "name": "envoy.access_loggers.stdout",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": { "text_format_source": { "inline_string": format } },
        },
    })
}
