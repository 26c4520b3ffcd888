//! Charges requests to their windows: how a window stands becomes the answer's headers, or a 429.

use super::error::ApiError;
use super::request;
use crate::domain::allowance::Allowance;
use crate::limits::{Key, Limits};
use std::sync::Arc;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct RequestLimits(Arc<Limits>);

impl RequestLimits {
    pub(super) fn new(limits: Arc<Limits>) -> Self {
        Self(limits)
    }

    /// All windows, for the operator.
    pub(super) fn windows(&self) -> &Limits {
        &self.0
    }

    /// Takes one from the window, or refuses. Either way the answer's headers tell how the window stands.
    pub(super) fn charge(&self, key: &Key) -> Result<(), ApiError> {
        self.charge_own(key, &Allowance::default())
    }

    /// As [`RequestLimits::charge`], by what the tenant's own file allows where it says so.
    pub(super) fn charge_own(&self, key: &Key, own: &Allowance) -> Result<(), ApiError> {
        let entered = self.0.enter(key, own, true);
        let standing = entered.unwrap_or_else(Some);
        if let Some(standing) = standing.filter(|_| !matches!(key, Key::FailedAuth(_))) {
            request::note_standing(standing);
        }
        entered.map(|_| ()).map_err(ApiError::RateLimited)
    }

    /// Refuses what the window would refuse, and takes nothing.
    pub(super) fn check(&self, key: &Key) -> Result<(), ApiError> {
        self.0.enter(key, &Allowance::default(), false).map(|_| ()).map_err(ApiError::RateLimited)
    }

    /// Gives the latest charge back, of the window that this request was charged to last.
    pub(super) fn give_back(&self, key: &Key) {
        if self.0.give_back(key) {
            request::note_given_back();
        }
    }
}
