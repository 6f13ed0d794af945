//! What tells the series of a metric apart: names in the configuration, and words of closed lists.

use prometheus_client::encoding::EncodeLabelSet;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct CheckLabels {
    pub(super) platform: String,
    pub(super) scheme: String,
    pub(super) outcome: &'static str,
    pub(super) cache: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct DurationLabels {
    pub(super) outcome: &'static str,
    pub(super) cache: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct DenialLabels {
    pub(super) platform: String,
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct FaultLabels {
    pub(super) dependency: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct OperationLabels {
    pub(super) operation: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct IssuedLabels {
    pub(super) platform: String,
    pub(super) kind: &'static str,
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct LegacyLabels {
    pub(super) platform: String,
    pub(super) form: &'static str,
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct ReloadLabels {
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct CacheLabels {
    pub(super) kind: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct SignalLabels {
    pub(super) signal: &'static str,
}

/// By the names that OpenTelemetry's semantic conventions give them, as Prometheus spells those.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct CallLabels {
    pub(super) rpc_system_name: &'static str,
    pub(super) rpc_method: &'static str,
    pub(super) rpc_response_status_code: &'static str,
}
