//! Faithful copy.
