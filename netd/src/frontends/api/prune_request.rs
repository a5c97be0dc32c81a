//! The body that asks for unused networks to go, and what it means. Unknown fields are refused.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::state::request::{LabelMatch, PruneSpec};

/// Which unused networks are to be removed; all, unless something is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PruneRequest {
    /// Only those made before this second of Unix time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// `K` or `K=V`: only those with all of these labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// `K` or `K=V`: only those with none of these labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub without_labels: Vec<String>,
}

impl PruneRequest {
    /// What is asked for.
    pub fn check(self) -> PruneSpec {
        let label = |text: String| match text.split_once('=') {
            Some((key, value)) => LabelMatch {
                key: key.to_owned(),
                value: Some(value.to_owned()),
            },
            None => LabelMatch {
                key: text,
                value: None,
            },
        };
        PruneSpec {
            until: self
                .until
                .map(|seconds| seconds.saturating_mul(1_000_000_000)),
            labels: self.labels.into_iter().map(label).collect(),
            without_labels: self.without_labels.into_iter().map(label).collect(),
        }
    }
}
