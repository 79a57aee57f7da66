//! Keeping the manifests in line with the records.
//!
//! Every verb that changes an image or a container calls
//! [`Engine::keep_manifests`] after its commit point. It cannot fail the verb,
//! which is done; what it does not come to, because the process dies, the next
//! open does.

use crate::engine::Engine;
use crate::error::Result;

impl Engine {
    /// Writes down what the records say of these images and containers now, by
    /// id; of those that are gone, nothing is left.
    pub(super) fn keep_manifests(&self, ids: &[&str]) {
        if !ids.is_empty() {
            let kept = self.store.manifests().keep(&self.store, ids);
            told(&ids.join(" and "), kept);
        }
    }

    /// The same for all of them.
    pub(super) fn keep_all_manifests(&self) {
        told("all images and containers", self.store.manifests().keep_all(&self.store).map(drop));
    }
}

fn told(of: &str, kept: Result<()>) {
    if let Err(error) = kept {
        crate::notice!(
            "the manifest of {of} could not be kept: {error}; 'mocker check --repair' makes it anew"
        );
    }
}
